"""docker-compose.yml: of the specification's form, and safe to start on any machine."""

import re
import subprocess

import pytest

from shared.configuration.files import read_document
from tests import apache_kafka
from tests.deploy.units import ROOT, SERVICES, compose, tool

NAMES = sorted(compose()["services"])
OURS = [name for name in NAMES if compose()["services"][name]["image"].startswith("myaku:")]
every_container = pytest.mark.parametrize("name", NAMES)
PINNED = re.compile(r"^[\w./-]+:v?\d+\.\d+[\w.-]*$")


def test_it_is_what_the_specification_asks_for() -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    said = subprocess.run([*command, str(ROOT / "docker-compose.yml")], capture_output=True)
    assert said.returncode == 0, said.stdout.decode()


@every_container
def test_its_image_is_a_version(name: str) -> None:
    assert PINNED.match(compose()["services"][name]["image"])


def test_kafka_is_the_one_that_the_tests_run_on() -> None:
    image = compose()["services"]["kafka"]["image"]
    assert image == f"apache/kafka:{apache_kafka.VERSION}"


@every_container
def test_its_ports_are_open_to_this_machine_alone(name: str) -> None:
    for port in compose()["services"][name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


@every_container
def test_what_it_waits_for_can_come_true(name: str) -> None:
    services = compose()["services"]
    for other, wanted in services[name].get("depends_on", {}).items():
        if wanted["condition"] == "service_healthy":
            assert "healthcheck" in services[other]
        else:
            assert wanted["condition"] == "service_completed_successfully"
            assert "restart" not in services[other]


@every_container
def test_its_secrets_and_volumes_are_declared(name: str) -> None:
    document = compose()
    service = document["services"][name]
    assert set(service.get("secrets", [])) <= set(document["secrets"])
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in document["volumes"]
    for variable, value in service.get("environment", {}).items():
        if variable.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in service["secrets"]


@pytest.mark.parametrize("name", OURS)
def test_ours_can_write_nothing_and_become_nobody_else(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_our_image_is_built_here_once() -> None:
    services = compose()["services"]
    assert [name for name in services if "build" in services[name]] == ["migrate"]
    assert {services[name]["pull_policy"] for name in OURS} == {"never"}


def test_services_start_when_the_setup_is_done() -> None:
    done = {"condition": "service_completed_successfully"}
    for name in SERVICES:
        assert compose()["services"][name]["depends_on"] == {"migrate": done, "publish": done}


def test_e_mail_goes_to_the_mailbox_here_and_nowhere_else() -> None:
    directory = ROOT / "deploy" / "compose" / "config"
    routing = read_document(directory)["routing"]
    (server,) = {
        each["smtp"] for each in routing["destinations"].values() if each["type"] == "email"
    }
    assert server == "secret://SMTP"
    assert compose()["services"]["alerts"]["environment"]["MYAKU_SECRET_SMTP"] == (
        "smtp://mailpit:1025"
    )
    assert "mail" in routing["to"]
