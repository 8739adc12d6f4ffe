"""`myaku up` as a user runs it: a process of its own, found through its up.json."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from tests.callers import bearing
from tests.processes import eventually

MYAKU = str(Path(sys.executable).with_name("myaku"))
START_SECONDS = 90
STOP_SECONDS = 60


class Installation:
    """A running `myaku up`, and what can be asked of it."""

    def __init__(self, data_dir: Path, process: "subprocess.Popen[bytes]") -> None:
        self.data_dir = data_dir
        self.process = process

    @property
    def up_file(self) -> dict[str, Any]:
        """up.json as it is now."""
        read: dict[str, Any] = json.loads((self.data_dir / "up.json").read_text())
        return read

    def pid(self, service: str) -> int | None:
        """The process of a service; None while it does not run."""
        pid: int | None = self.up_file["pids"].get(service)
        return pid

    async def get(self, service: str, path: str, **query: object) -> Any:
        """The answer of a service's API, as JSON."""
        headers = bearing(self.up_file["token"])
        async with httpx2.AsyncClient(headers=headers) as client:
            answer = await client.get(self.up_file[service] + path, params=query)  # type: ignore[arg-type]
            answer.raise_for_status()
            return answer.json()

    async def all(self, service: str, path: str, **query: object) -> list[Any]:
        """All pages of a list."""
        found: list[Any] = []
        cursor: str | None = None
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = await self.get(service, path, limit=500, **query, **more)
            found.extend(page["data"])
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        connection = await asyncpg.connect(self.up_file["database_url"])
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    async def kill(self, service: str) -> None:
        """End a service by SIGKILL, and wait until another one runs in its place."""
        pid = self.pid(service)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: self.pid(service) not in (None, pid), 60)

    async def stop(self) -> int:
        """SIGTERM, as `docker stop` would; the exit status."""
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, STOP_SECONDS)


@asynccontextmanager
async def up(
    data_dir: Path, *options: str, environment: dict[str, str] | None = None
) -> AsyncIterator[Installation]:
    """Start it on free ports, ready to be used; at the end it must stop by itself, with 0."""
    log = data_dir.with_suffix(".log")
    command = [MYAKU, "up", "--data-dir", str(data_dir), "--ports-from", "0", *options]
    process = _spawn(command, log, environment or {})
    installation = Installation(data_dir, process)
    try:
        await eventually(
            lambda: (data_dir / "up.json").exists() or process.poll() is not None, START_SECONDS
        )
        assert process.poll() is None, log.read_text()
        yield installation
        assert process.poll() is None, log.read_text()
        assert await installation.stop() == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def _spawn(command: list[str], log: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | environment)


async def run(*arguments: str, data_dir: Path, timeout_seconds: float = 600) -> tuple[int, str]:
    """A command of ours to its end: exit status, and all that it printed."""
    process = await start(*arguments, data_dir=data_dir)
    async with asyncio.timeout(timeout_seconds):
        printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def start(*arguments: str, data_dir: Path) -> asyncio.subprocess.Process:
    """A command of ours, running."""
    return await asyncio.create_subprocess_exec(
        MYAKU,
        *arguments,
        "--data-dir",
        str(data_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
