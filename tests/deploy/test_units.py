"""What Compose and Kubernetes name exists in the code: commands, settings, ports, time to drain."""

import re

import pytest
import yaml

from services.alerts.settings import AlertsSettings
from services.ingest.settings import IngestSettings
from services.scoring.settings import ScoringSettings
from shared.command_settings import CommandSettings
from shared.runtime import STOP_HARD_SECONDS
from shared.settings import Settings
from tests.deploy.units import ROOT, SERVICES, Unit, compose_units, kubernetes_units, take

SETTINGS: dict[str, type[Settings]] = {
    "ingest": IngestSettings,
    "scoring": ScoringSettings,
    "alerts": AlertsSettings,
}
UNITS = [
    *(pytest.param(unit, id=f"compose-{unit.name}") for unit in compose_units()),
    *(pytest.param(unit, id=f"kubernetes-{unit.name}") for unit in kubernetes_units()),
]
RUNNING = [each for each in UNITS if each.values[0].metrics_port]  # type: ignore[union-attr]
every_unit = pytest.mark.parametrize("unit", UNITS)
every_service = pytest.mark.parametrize("unit", RUNNING)


def known_settings(unit: Unit) -> set[str]:
    """The environment variables that the unit's command reads."""
    fields = SETTINGS.get(unit.name, CommandSettings).model_fields
    return {f"MYAKU_{name.upper()}" for name in fields}


@pytest.mark.parametrize("units", [compose_units(), kubernetes_units()], ids=["compose", "k8s"])
def test_both_run_the_setup_and_every_service(units: list[Unit]) -> None:
    assert {unit.name for unit in units} == {"migrate", "publish", *SERVICES}


@every_unit
def test_its_command_exists_with_these_options(unit: Unit) -> None:
    take(unit.command)


@every_unit
def test_its_environment_is_what_the_command_reads(unit: Unit) -> None:
    known = known_settings(unit)
    secrets = {name for name in unit.environment if name.startswith("MYAKU_SECRET_")} - known
    assert set(unit.environment) - secrets <= known
    assert not secrets or unit.name == "alerts"
    assert {"MYAKU_KAFKA", "MYAKU_DATABASE_URL_FILE"} <= set(unit.environment)
    assert ("MYAKU_SECRET_KEY_FILE" in unit.environment) is (unit.name in SERVICES)


@every_unit
def test_no_secret_stands_in_its_environment(unit: Unit) -> None:
    secret = {"MYAKU_DATABASE_URL", "MYAKU_SECRET_KEY", "MYAKU_KAFKA_SECURITY_PASSWORD"}
    assert not secret & set(unit.environment)
    for name, value in unit.environment.items():
        if "SECRET" in name and not name.endswith("_FILE"):
            assert "@" not in value  # the address of a mail server that asks for no password


@every_service
def test_its_ports_are_those_that_the_service_takes(unit: Unit) -> None:
    fields = SETTINGS[unit.name].model_fields
    assert unit.http_port == fields[f"{unit.name}_port"].default
    assert unit.metrics_port == fields[f"{unit.name}_operations_port"].default


@every_service
def test_it_may_drain_to_its_end(unit: Unit) -> None:
    assert unit.grace_seconds > STOP_HARD_SECONDS


def test_the_image_sets_only_what_all_commands_read() -> None:
    names = set(re.findall(r"\b(MYAKU_\w+)=", (ROOT / "Dockerfile").read_text()))
    assert names == {"MYAKU_HOST"}
    assert "host" in Settings.model_fields


def test_prometheus_looks_where_the_services_are() -> None:
    written = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    (job,) = written["scrape_configs"]
    asked = {target for group in job["static_configs"] for target in group["targets"]}
    assert asked == {
        f"{unit.name}:{unit.metrics_port}" for unit in compose_units() if unit.http_port
    }
    for name in written["rule_files"]:
        assert (ROOT / "deploy" / "prometheus" / name).exists()
    assert job["job_name"] == "myaku"  # as the rules have it
    assert all(
        group["targets"][0].startswith(group["labels"]["service"])
        for group in job["static_configs"]
    )
