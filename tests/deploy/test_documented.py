"""What docs/deploy.md tells people to type and to write does what it says."""

import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from services.alerts.settings import read_secrets
from shared.settings import Settings
from tests.deploy.units import (
    ROOT,
    SERVICES,
    Document,
    compose,
    container_of,
    of_kind,
    render,
    take,
    written_in,
)

DOCUMENT = "deploy.md"
TEXT = (ROOT / "docs" / DOCUMENT).read_text()
SHELL = written_in(DOCUMENT, "sh")
OVERLAY, PATCH = written_in(DOCUMENT, "yaml")


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    """What the overlay of the document renders to, with the patch that stands below it."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "config", root / "config")
    shutil.copytree(ROOT / "deploy", root / "deploy")
    directory = root / "deploy" / "k8s" / "overlays" / "production"
    shutil.copytree(ROOT / "config", directory / "config")
    (directory / "kustomization.yaml").write_text(OVERLAY + PATCH)
    return list(yaml.safe_load_all(render(directory)))


def deployment(documents: list[Document], name: str) -> Document:
    (found,) = [
        each
        for each in documents
        if each["kind"] == "Deployment" and each["metadata"]["name"] == name
    ]
    return found


def test_the_secrets_are_made_as_compose_and_the_services_want_them(tmp_path: Path) -> None:
    (commands,) = [block for block in SHELL if "openssl" in block]
    commands = commands[: commands.index("docker compose")]
    subprocess.run(["sh", "-ec", commands], cwd=tmp_path, check=True)
    for secret in compose()["secrets"].values():
        path = tmp_path / secret["file"]
        assert path.stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    settings = Settings(
        database_url_file=tmp_path / "secrets" / "database_url",
        secret_key_file=tmp_path / "secrets" / "secret_key",
    )  # type: ignore[call-arg]
    password = (tmp_path / "secrets" / "database_password").read_text().strip()
    postgres = compose()["services"]["postgres"]["environment"]
    assert settings.database_url.get_secret_value() == (
        f"postgresql://{postgres['POSTGRES_USER']}:{password}@postgres:5432/{postgres['POSTGRES_DB']}"
    )


def test_the_overlay_is_valid(overlay: list[Document]) -> None:
    for document in overlay:
        kubernetes_validate.validate(document, "1.34", strict=True)


def test_the_overlay_changes_what_it_names(overlay: list[Document]) -> None:
    scoring = deployment(overlay, "scoring")
    assert scoring["spec"]["replicas"] == 4
    assert container_of(scoring)["image"] == "registry.example.com/myaku:0.1.0"
    maps = {each["metadata"]["name"]: each["data"] for each in overlay if "data" in each}
    for job in (each for each in overlay if each["kind"] == "Job"):
        (source,) = container_of(job)["envFrom"]
        assert "kafka-2.example.com" in maps[source["configMapRef"]["name"]]["MYAKU_KAFKA"]
    (configuration,) = [data for name, data in maps.items() if name.startswith("configuration")]
    assert set(configuration) == {"scorecards.yaml", "alerts.yaml", "routing.yaml"}


def test_the_secret_of_a_destination_reaches_alerts(
    overlay: list[Document], tmp_path: Path
) -> None:
    (tmp_path / "crm").write_text("whsec_x\n")
    environment = {
        each["name"]: each["value"] for each in container_of(deployment(overlay, "alerts"))["env"]
    }
    named = environment["MYAKU_SECRET_CRM_FILE"]
    assert named == "/run/secrets/myaku/crm"
    assert read_secrets({"MYAKU_SECRET_CRM_FILE": str(tmp_path / "crm")}) == {"CRM": "whsec_x"}


def test_what_is_applied_first_is_all_that_the_jobs_need() -> None:
    (commands,) = [block for block in SHELL if "kubectl wait" in block]
    (left,) = re.findall(r"component notin \(([\w, ]+)\)", commands)
    later = set(left.split(", "))
    first = {
        f"{kind}/{each['metadata']['name']}"
        for kind in ("Job", "ConfigMap", "ServiceAccount", "Deployment", "Service")
        for each in of_kind(kind)
        if each["metadata"]["labels"].get("app.kubernetes.io/component") not in later
    }
    assert {name.split("/")[0] for name in first} == {"Job", "ConfigMap", "ServiceAccount"}
    jobs = {name.removeprefix("Job/") for name in first if name.startswith("Job/")}
    assert jobs == set(re.findall(r"job/(\w+)", commands)) == {"migrate", "publish"}
    assert later == set(SERVICES)


def test_what_is_said_of_partitions_is_so() -> None:
    (job,) = [each for each in of_kind("Job") if each["metadata"]["name"] == "publish"]
    in_base = container_of(job)["args"][-1]
    in_compose = compose()["services"]["publish"]["command"][-1]
    assert f"(`--partitions`, {in_base} in the base, {in_compose} in Compose)" in TEXT


@pytest.mark.parametrize(
    "words",
    [words.split() for words in re.findall(r"myaku ((?:keys|replay)\b[^`\n)]*)", TEXT)],
    ids=" ".join,
)
def test_every_command_of_ours_exists_with_these_options(words: list[str]) -> None:
    take(words)
