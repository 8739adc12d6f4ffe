"""A process ends, or stands still, exactly where it is told to, and nowhere else."""

import os
import signal
import sys

import pytest

from tests.processes import eventually, start_python

PROGRAM = """
import sys
from shared import rehearsal
for number in range(4):
    rehearsal.reach("elsewhere")
    rehearsal.reach("here")
    print(number, flush=True)
"""


@pytest.mark.parametrize(
    ("fail_at", "status", "said"),
    [
        ("", 0, "0 1 2 3"),
        ("nowhere", 0, "0 1 2 3"),
        ("here", -signal.SIGKILL, ""),
        ("here:3", -signal.SIGKILL, "0 1"),
        ("here:5", 0, "0 1 2 3"),
    ],
)
def test_it_ends_at_the_point(
    fail_at: str,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MYAKU_FAIL_AT", fail_at)
    assert start_python(PROGRAM).wait() == status
    assert capfd.readouterr().out.split() == said.split()


@pytest.mark.skipif(sys.platform != "linux", reason="only there it is seen from outside")
async def test_it_stands_still_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYAKU_FAIL_AT", "here:2:STOP")
    process = start_python(PROGRAM)
    await eventually(lambda: os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1]))
    process.send_signal(signal.SIGCONT)
    assert process.wait() == 0
