"""Nothing that was started outlives its starter, whatever kills it."""

import os
import signal
import sys
from pathlib import Path

import pytest

from services.standalone.keeper import Kept, Leash
from tests.processes import eventually, first_line, is_alive, start_python

SAYS_PID = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SAYS_PID}"
STARTER = """
import sys, time
from pathlib import Path
from services.standalone.keeper import Kept, Leash
leash = Leash()
kept = Kept([sys.executable, "-c", sys.argv[1]], leash, Path(sys.argv[2]), kill_after_seconds=1)
time.sleep(600)
"""


def keep(program: str, leash: Leash, log: Path) -> Kept:
    return Kept([sys.executable, "-c", program], leash, log, kill_after_seconds=1)


async def pid_in(log: Path) -> int:
    await eventually(lambda: bool(first_line(log)))
    return int(first_line(log))


@pytest.mark.parametrize("program", [SAYS_PID, STUBBORN], ids=["willing", "stubborn"])
async def test_it_ends_when_its_starter_is_killed(program: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    starter = start_python(STARTER, program, str(log))
    pid = await pid_in(log)
    assert is_alive(pid)

    starter.kill()
    starter.wait()

    await eventually(lambda: not is_alive(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
async def test_it_ends_when_its_keeper_is_killed(tmp_path: Path) -> None:
    kept = keep(SAYS_PID, Leash(), tmp_path / "log")
    pid = await pid_in(tmp_path / "log")

    os.kill(kept.keeper_pid, signal.SIGKILL)

    await eventually(lambda: not is_alive(pid))
    await eventually(lambda: kept.exit_status == -signal.SIGKILL)


@pytest.mark.parametrize("program", [SAYS_PID, STUBBORN], ids=["willing", "stubborn"])
async def test_stop_returns_when_it_is_gone(program: str, tmp_path: Path) -> None:
    kept = keep(program, Leash(), tmp_path / "log")
    pid = await pid_in(tmp_path / "log")
    assert kept.exit_status is None

    kept.stop()

    assert not is_alive(pid)
    assert kept.exit_status is not None


async def test_all_that_hangs_on_a_leash_ends_when_it_is_let_go(tmp_path: Path) -> None:
    leash = Leash()
    both = [keep(SAYS_PID, leash, tmp_path / name) for name in ("one", "two")]
    pids = [await pid_in(tmp_path / name) for name in ("one", "two")]

    leash.let_go()

    await eventually(lambda: not any(is_alive(pid) for pid in pids))
    await eventually(lambda: all(kept.exit_status is not None for kept in both))


async def test_its_end_and_last_line_are_seen(tmp_path: Path) -> None:
    kept = keep(
        "print('first'); print('no such place'); raise SystemExit(3)", Leash(), tmp_path / "log"
    )

    await eventually(lambda: kept.exit_status is not None)

    assert kept.exit_status == 3
    assert kept.last_words() == "no such place"
