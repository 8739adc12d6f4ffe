"""What a log shows of a fault: where it was, and no secret that was in a variable there."""

import subprocess
import sys

import pytest

PROGRAM = """
import logging
from shared import logs
from shared.runtime import log
logs.configure("{format}", "info")
def connect(url):
    raise RuntimeError("a fault")
try:
    connect("postgresql://u:hunter2@db/name")
except RuntimeError as error:
    log.error("stopped", exc_info=error)
    logging.getLogger("uvicorn.error").error("in the application", exc_info=error)
"""


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_variables(form: str) -> None:
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{format}", form)],
        capture_output=True,
        check=True,
    ).stderr.decode()
    assert said.count("a fault") >= 2
    assert "connect" in said
    assert "hunter2" not in said
