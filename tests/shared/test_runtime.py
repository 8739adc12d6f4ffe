"""How a process ends, and what it tells about itself, on real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from shared import runtime
from shared.operations import Readiness
from shared.runtime import LOOPBACK, UserError, listen
from tests.driven_clock import DrivenClock

PROGRAM = """
import asyncio, sys
from fastapi import FastAPI
from shared import runtime

operations, api = runtime.listen(0), runtime.listen(0)
runtime.STOP_GRACE_SECONDS, runtime.STOP_HARD_SECONDS = 1, 2

async def main(running):
    print(operations.getsockname()[1], api.getsockname()[1], flush=True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runtime.serve_http(FastAPI(), api, running))
        tasks.create_task(work(running))

async def work(running):
{work}

parent_fd = int(sys.argv[1]) if len(sys.argv) > 1 else None
settings = dict(log_format="json", log_level="info")
sys.exit(runtime.run(main, **settings, operations=operations, parent_fd=parent_fd))
"""
UNTIL_STOPPED = "    await running.stop.wait()"


@contextmanager
def running(
    work: str,
    *arguments: str,
    pass_fds: tuple[int, ...] = (),
    environment: Mapping[str, str] | None = None,
    stdin: int | None = None,
) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """The process, and its operations port."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("{work}", work), *arguments],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
        env=os.environ | (environment or {}),
    )
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline().split()[0])
    finally:
        process.kill()
        process.communicate()


def end(process: "subprocess.Popen[str]", seconds: float = 15) -> tuple[int, str]:
    """The exit status, and what was said on standard error."""
    _, said = process.communicate(timeout=seconds)
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_quietly(number: signal.Signals) -> None:
    with running(UNTIL_STOPPED) as (process, _):
        process.send_signal(number)
        assert end(process) == (0, "")


def test_the_end_of_the_parent_ends_it() -> None:
    read, write = os.pipe()
    with running(UNTIL_STOPPED, str(read), pass_fds=(read,)) as (process, _):
        os.close(read)
        os.close(write)
        assert end(process) == (0, "")


def test_what_the_user_can_put_right_is_one_sentence() -> None:
    with running("    raise runtime.UserError('Plug it in.')") as (process, _):
        assert end(process) == (1, "Plug it in.\n")


def test_a_fault_is_logged_whole_and_ends_it_with_1() -> None:
    with running("    raise ZeroDivisionError('a fault')") as (process, _):
        status, said = end(process)
    assert status == 1
    assert "stopped by a fault" in said
    assert "ZeroDivisionError" in said


def test_who_is_told_to_stop_is_not_ready_and_another_signal_changes_nothing() -> None:
    work = """
    running.readiness.done("partitions")
    await running.stop.wait()
    print("stopping", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
"""
    with running(work, stdin=subprocess.PIPE) as (process, port):
        assert process.stdout is not None
        with httpx2.Client(base_url=f"http://{LOOPBACK}:{port}") as client:
            process.send_signal(signal.SIGTERM)
            assert process.stdout.readline() == "stopping\n"
            process.send_signal(signal.SIGTERM)
            ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["waiting"]) == (503, {"stop": "the process ends"})
        assert process.poll() is None
        out, said = process.communicate("go on\n", timeout=15)
        assert (process.returncode, out, said) == (0, "", "")


def test_what_does_not_stop_in_time_is_cut_short() -> None:
    stubborn = "    await asyncio.sleep(1000)"
    with running(stubborn) as (process, _):
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status, said = end(process)
    assert (status, time.monotonic() - started < 10) == (0, True)
    assert "cut short" in said


def test_what_cannot_even_be_cancelled_ends_all_the_same() -> None:
    deaf = """
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass
"""
    with running(deaf) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert end(process)[0] == 1


def test_probes_and_metrics() -> None:
    work = """
    running.readiness.wait("partitions", "waiting for the consumer group")
    await running.stop.wait()
"""
    with running(work) as (_, port), httpx2.Client(base_url=f"http://{LOOPBACK}:{port}") as client:
        assert client.get("/livez").json() == {"alive": True}
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json() == {
            "ready": False,
            "waiting": {"partitions": "waiting for the consumer group"},
        }
        assert "python_info" in client.get("/metrics").text
        assert client.get("/else").status_code == 404


def test_who_has_only_started_is_not_ready() -> None:
    work = "    await running.stop.wait()"
    with running(work) as (_, port), httpx2.Client(base_url=f"http://{LOOPBACK}:{port}") as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["waiting"]) == (503, {"partitions": "starting"})


def test_a_loop_that_does_not_turn_is_not_alive() -> None:
    readiness = Readiness()
    assert readiness.alive
    readiness.turned_at -= 31
    assert not readiness.alive


def test_a_driven_clock_says_what_its_file_holds(tmp_path: Path) -> None:
    clock = DrivenClock(tmp_path / "clock", 1_700_000_000_000)
    reader = (
        "import sys; from shared import runtime\n"
        "for _ in sys.stdin: print(runtime.now_ms(), flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", reader],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | clock.environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for expected in (1_700_000_000_000, 1_700_000_060_000, 1_600_000_000_000):
        clock.move_to(expected)
        process.stdin.write("\n")
        process.stdin.flush()
        assert int(process.stdout.readline()) == expected
    process.communicate()


def test_a_driven_clock_is_warned_about() -> None:
    clock = {"MYAKU_CLOCK_FILE": "the file"}
    with running(UNTIL_STOPPED, environment=clock) as (process, _):
        process.send_signal(signal.SIGTERM)
        status, said = end(process)
    assert status == 0
    warning = json.loads(said)
    assert (warning["level"], warning["file"]) == ("warning", "the file")
    assert "tests and rehearsals only" in warning["event"]


@pytest.mark.parametrize("content", [None, "", "12:00"])
def test_a_clock_file_without_a_time_is_one_sentence(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "clock"
    if content is not None:
        file.write_text(content)
    monkeypatch.setattr(runtime, "CLOCK_FILE", str(file))
    with pytest.raises(UserError, match="MYAKU_CLOCK_FILE: no milliseconds in"):
        runtime.now_ms()


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} on {LOOPBACK} cannot be used"):
            listen(port)


def test_an_http_server_that_ends_early_ends_the_process() -> None:
    work = """
    await asyncio.sleep(0.2)
    server.should_exit = True
    await running.stop.wait()
"""
    seize = """
made = runtime._Server.__init__
def keep(self, config):
    global server
    server = self
    made(self, config)
runtime._Server.__init__ = keep
"""
    with running(work + seize) as (process, _):
        assert end(process) == (1, "The HTTP server ended by itself: start again.\n")


def test_what_libraries_say_is_logged_in_the_same_shape() -> None:
    work = """
    import logging, warnings
    logging.getLogger("uvicorn.error").error("port %s", 1)
    logging.getLogger("aiokafka.conn").warning("of no interest")
    warnings.warn("old ways")
    await running.stop.wait()
"""
    with running(work) as (process, _):
        process.send_signal(signal.SIGTERM)
        status, said = end(process)
    lines = [json.loads(line) for line in said.splitlines()]
    assert status == 0
    assert [(line["level"], line["logger"]) for line in lines] == [
        ("error", "uvicorn.error"),
        ("warning", "py.warnings"),
    ]
    assert lines[0]["event"] == "port 1"
    assert "old ways" in lines[1]["event"]
    assert all(line["timestamp"].endswith("Z") for line in lines)
