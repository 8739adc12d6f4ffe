"""A service that dies is started again, after a pause that grows while it keeps dying."""

import asyncio
import sys
from pathlib import Path

import pytest

from services.standalone.keeper import Leash
from services.standalone.supervisor import Service, next_pause_seconds
from tests.processes import eventually, first_line, is_alive


def test_the_pause_doubles_to_a_limit() -> None:
    pauses = [0.0]
    for _ in range(7):
        pauses.append(next_pause_seconds(pauses[-1], alive_seconds=0.5))
    assert pauses == [0, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(
    ("alive_seconds", "pause_seconds"), [(0, 16), (59.9, 16), (60, 1), (3600, 1)]
)
def test_who_lived_for_a_minute_starts_anew(alive_seconds: float, pause_seconds: float) -> None:
    assert next_pause_seconds(8, alive_seconds) == pause_seconds


def service(program: str, log: Path) -> Service:
    return Service("scoring", [sys.executable, "-c", program], Leash(), log)


async def test_it_is_started_again_when_its_pause_is_over(tmp_path: Path) -> None:
    said: list[str] = []
    dying = service("raise SystemExit('Port 9102 is taken.')", tmp_path / "log")
    dying.start(now=100)
    await eventually(lambda: dying.pid is None)

    assert not dying.revive(100.2, said.append)
    assert said == [
        "scoring ended (exit status 1); it is started again in 1 s: Port 9102 is taken."
    ]
    assert not dying.revive(101.1, said.append)
    assert dying.revive(101.2, said.append)
    assert dying.pid
    assert not dying.revive(101.3, said.append) or dying.pid is None
    await dying.stop()


async def test_a_kill_is_called_by_its_name(tmp_path: Path) -> None:
    said: list[str] = []
    killed = service("import time; time.sleep(600)", tmp_path / "log")
    killed.start(now=0)
    await killed.stop()
    killed.revive(1, said.append)
    assert said[0].startswith("scoring ended (SIGTERM)")


async def test_one_that_does_not_stop_is_killed_when_nobody_waits_any_more(tmp_path: Path) -> None:
    program = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(os.getpid(), flush=True); time.sleep(600)"
    )
    stubborn = service(program, tmp_path / "log")
    stubborn.start(now=0)
    await eventually(lambda: bool(first_line(tmp_path / "log")))
    pid = int(first_line(tmp_path / "log"))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await stubborn.stop()

    assert not is_alive(pid)


async def test_a_service_is_given_the_pipe_that_ends_with_its_starter(tmp_path: Path) -> None:
    program = "import os; print(os.read(int(os.environ['MYAKU_PARENT_FD']), 1), flush=True)"
    leash = Leash()
    waiting = Service("ingest", [sys.executable, "-c", program], leash, tmp_path / "log")
    waiting.start(now=0)
    assert waiting.pid

    leash.let_go()

    await eventually(lambda: waiting.pid is None)
    assert first_line(tmp_path / "log") == "b''"
