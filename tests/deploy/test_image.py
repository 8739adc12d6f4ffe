"""The image: what goes into it, checked without an engine to build it with."""

import fnmatch
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.deploy.units import BASE, ROOT, compose, copied, instructions, tool

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked(name: str) -> dict[str, set[str]]:
    """The versions of each package in a lock file."""
    versions: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.M):
        versions.setdefault(package, set()).add(version)
    return versions


def test_hadolint_has_nothing_to_say() -> None:
    said = subprocess.run([tool("hadolint"), str(ROOT / "Dockerfile")], capture_output=True)
    assert said.returncode == 0, said.stdout.decode()


def test_it_begins_with_one_pinned_python() -> None:
    images = {line.split()[0] for line in instructions("FROM")}
    assert len(images) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", images.pop())


def test_nobody_in_it_is_root_and_no_shell_starts_it() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert instructions("ENTRYPOINT") == ['["myaku"]']
    assert PROJECT["scripts"] == {"myaku": "services.cli:main"}


def test_its_packages_are_those_of_the_tests_without_the_tools() -> None:
    image, tests = locked("requirements.image.lock"), locked("requirements.lock")
    assert image.items() <= tests.items()
    for extra in ("standalone", "dev"):
        for wanted in PROJECT["optional-dependencies"][extra]:
            assert re.split(r"[=<>\[; ]", wanted)[0] not in image
    for wanted in PROJECT["dependencies"]:
        assert re.split(r"[=<>\[; ]", wanted)[0] in image


@pytest.mark.parametrize("source", copied())
def test_what_is_copied_is_there_and_not_ignored(source: str) -> None:
    assert (ROOT / source).exists()
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#") and fnmatch.fnmatch(source, line.lstrip("!")):
            ignored = not line.startswith("!")
    assert not ignored


def test_its_version_is_the_project_s_everywhere() -> None:
    (image,) = yaml.safe_load((BASE / "kustomization.yaml").read_text())["images"]
    assert image == {"name": "myaku", "newTag": PROJECT["version"]}
    ours = {each["image"] for each in compose()["services"].values() if "myaku" in each["image"]}
    assert ours == {f"myaku:{PROJECT['version']}"}


def test_every_file_of_the_project_is_in_the_wheel(wheel: Path) -> None:
    for name in ("config", "services", "shared"):
        here, there = (
            {path.relative_to(root) for path in (root / name).rglob("*.*") if path.suffix != ".pyc"}
            for root in (ROOT, wheel)
        )
        assert here == there
