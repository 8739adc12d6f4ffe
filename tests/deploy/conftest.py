"""The project as a wheel."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.units import ROOT, copied


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as the image has it: a wheel of what is copied into it, unpacked."""
    source, directory = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in copied():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name)
        else:
            shutil.copy(ROOT / name, source / name)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--target", str(directory), str(source)]
    subprocess.run([*install, *options], check=True, timeout=120)
    return directory
