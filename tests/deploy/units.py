"""What Compose and Kubernetes are told to run of ours, read from their files in one form."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from services.cli import app

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "deploy" / "k8s" / "base"
SERVICES = ("ingest", "scoring", "alerts")
Document = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Unit:
    """One container of ours: what it runs, with which environment, and what is asked of it."""

    name: str
    command: list[str]
    environment: dict[str, str]
    http_port: int | None = None
    metrics_port: int | None = None
    probe_paths: frozenset[str] = frozenset()
    grace_seconds: int = 0


@cache
def compose() -> Document:
    """docker-compose.yml, where nothing is set outside: `${NAME:-value}` reads value."""
    text = (ROOT / "docker-compose.yml").read_text()
    document: Document = yaml.safe_load(re.sub(r"\$\{\w+:-(\w+)\}", r"\1", text))
    return document


def tool(name: str) -> str:
    """A program that the development environment brings, or else this machine; skips without."""
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = shutil.which(name, path=places)
    if not found:
        pytest.skip(f"{name} is not installed", allow_module_level=True)
    return found


def render(directory: Path) -> str:
    """What `kubectl kustomize` makes of a directory."""
    command = [tool("kubectl"), "kustomize", str(directory)]
    rendered = subprocess.run(command, capture_output=True, text=True)
    assert rendered.returncode == 0, rendered.stderr
    return rendered.stdout


@cache
def manifests() -> list[Document]:
    """The documents of the base."""
    return list(yaml.safe_load_all(render(BASE)))


def of_kind(*kinds: str) -> list[Document]:
    """The base's documents of these kinds."""
    return [each for each in manifests() if each["kind"] in kinds]


def pod_of(workload: Document) -> Document:
    """The pod that a Deployment or a Job makes."""
    pod: Document = workload["spec"]["template"]["spec"]
    return pod


def container_of(workload: Document) -> Document:
    """Its only container."""
    (container,) = pod_of(workload)["containers"]
    assert isinstance(container, dict)
    return container


def data_of(prefix: str) -> dict[str, str]:
    """What is in the ConfigMap whose generated name begins so."""
    (found,) = [
        each for each in of_kind("ConfigMap") if each["metadata"]["name"].startswith(prefix)
    ]
    data: dict[str, str] = found["data"]
    return data


def compose_units() -> list[Unit]:
    """The containers of our image in docker-compose.yml, in the order in which they start."""
    return [
        _compose_unit(name, service)
        for name, service in compose()["services"].items()
        if service["image"].startswith("myaku:")
    ]


def _compose_unit(name: str, service: Document) -> Unit:
    if "healthcheck" not in service:
        return Unit(name, service["command"], service["environment"])
    (port,) = service["ports"]
    address = service["healthcheck"]["test"][-1].split("'")[1].removeprefix("http://127.0.0.1:")
    metrics_port, _, path = address.partition("/")
    return Unit(
        name,
        service["command"],
        service["environment"],
        http_port=int(port.rpartition(":")[2]),
        metrics_port=int(metrics_port),
        probe_paths=frozenset({f"/{path}"}),
        grace_seconds=int(service["stop_grace_period"].removesuffix("s")),
    )


def kubernetes_units() -> list[Unit]:
    """The containers of the base, the jobs first."""
    return [_kubernetes_unit(each) for each in of_kind("Job") + of_kind("Deployment")]


def _kubernetes_unit(workload: Document) -> Unit:
    container = container_of(workload)
    environment = data_of("settings") | {each["name"]: each["value"] for each in container["env"]}
    name = workload["metadata"]["name"]
    if workload["kind"] == "Job":
        return Unit(name, container["args"], environment)
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    assert {probe["port"] for probe in probes} == {"metrics"}
    sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {"seconds": 0})
    return Unit(
        name,
        container["args"],
        environment,
        http_port=ports["http"],
        metrics_port=ports["metrics"],
        probe_paths=frozenset(probe["path"] for probe in probes),
        grace_seconds=pod_of(workload)["terminationGracePeriodSeconds"] - sleep["seconds"],
    )


def written_in(document: str, language: str) -> list[str]:
    """The blocks of code of that language in a document of docs/, without their indentation."""
    text = (ROOT / "docs" / document).read_text()
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for _, block in blocks]


def instructions(keyword: str) -> list[str]:
    """What follows the keyword in the Dockerfile, for each instruction of that kind."""
    lines = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
    return [line.removeprefix(keyword).strip() for line in lines if line.startswith(f"{keyword} ")]


def copied() -> list[str]:
    """What the image takes from the project."""
    return [
        name
        for line in instructions("COPY")
        if not line.startswith("--from")
        for name in line.split()[:-1]
    ]


def take(words: list[str]) -> None:
    """Take the words as the command line would, and run nothing. Raises where they are wrong."""
    command = typer.main.get_command(app)
    left = list(words)
    while isinstance(command, TyperGroup):
        command = command.commands[left.pop(0)]
    with command.make_context(" ".join(words), left):
        pass
