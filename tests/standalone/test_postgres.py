"""The embedded database keeps its data, whatever ended the run before."""

import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from services.standalone import postgres
from services.standalone.keeper import Leash
from shared.runtime import UserError
from tests.processes import eventually, first_line, is_alive, mode, start_python

STARTER = """
import asyncio, sys
from pathlib import Path
from services.standalone import broker, postgres
from services.standalone.keeper import Leash

async def main(directory):
    leash = Leash()
    async with (
        postgres.running(leash, directory / "postgres", directory / "postgres.log"),
        broker.running(leash, directory / "broker.log") as running,
    ):
        (directory / "address").write_text(running.address + "\\n")
        await asyncio.Event().wait()

asyncio.run(main(Path(sys.argv[1])))
"""


@asynccontextmanager
async def connected(directory: Path) -> AsyncIterator[asyncpg.Connection]:
    async with postgres.running(
        Leash(), directory / "postgres", directory / "postgres.log"
    ) as database:
        connection = await asyncpg.connect(database.url)
        try:
            yield connection
        finally:
            await connection.close()


def server_pid(directory: Path) -> int:
    return int((directory / "postgres" / "postmaster.pid").read_text().split()[0])


async def test_data_outlives_the_server_and_nobody_listens_on_a_port(tmp_path: Path) -> None:
    async with connected(tmp_path) as connection:
        await connection.execute("CREATE TABLE kept (id int)")
        assert await connection.fetchval("SHOW listen_addresses") == ""
        assert await connection.fetchval("SHOW fsync") == "on"
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()
    async with connected(tmp_path) as connection:
        assert await connection.fetchval("SELECT count(*) FROM kept") == 0


async def test_others_cannot_reach_the_data_or_the_socket(tmp_path: Path) -> None:
    async with connected(tmp_path):
        assert mode(tmp_path / "postgres") == 0o700


async def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    async with connected(long) as connection:
        sockets = Path(await connection.fetchval("SHOW unix_socket_directories"))
        assert len(str(sockets)) < 60
        assert mode(sockets) == 0o700
    with pytest.raises(FileNotFoundError):
        mode(sockets)


async def test_broker_and_database_end_with_their_killed_starter(tmp_path: Path) -> None:
    starter = start_python(STARTER, str(tmp_path))
    await eventually(lambda: bool(first_line(tmp_path / "address")))
    pid = server_pid(tmp_path)
    host, port = first_line(tmp_path / "address").split(":")

    starter.kill()
    starter.wait()

    await eventually(lambda: not is_alive(pid))
    await eventually(lambda: not listens(host, int(port)))


def listens(host: str, port: int) -> bool:
    """Whether somebody answers there."""
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


async def test_a_pid_file_of_a_server_that_is_no_more(tmp_path: Path) -> None:
    async with connected(tmp_path):
        left_behind = (tmp_path / "postgres" / "postmaster.pid").read_text()
        os.kill(server_pid(tmp_path), signal.SIGKILL)
        await eventually(lambda: not is_alive(server_pid(tmp_path)))
    # The number now belongs to a process that is no server: this one.
    stale = left_behind.replace(left_behind.split()[0], str(os.getpid()), 1)
    (tmp_path / "postgres" / "postmaster.pid").write_text(stale)

    async with connected(tmp_path) as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_server_that_an_earlier_run_left_is_stopped(tmp_path: Path) -> None:
    async with connected(tmp_path):
        orphan = server_pid(tmp_path)
        async with connected(tmp_path) as connection:
            assert await connection.fetchval("SELECT 1") == 1
            assert not is_alive(orphan)
            assert server_pid(tmp_path) != orphan


async def test_data_of_another_version(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(UserError, match="holds data of PostgreSQL 16, and the server is 18"):
        async with connected(tmp_path):
            pass


async def test_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "file" / "postgres")
    with pytest.raises(UserError, match=r"The data directory .*/file/postgres cannot be used"):
        async with postgres.running(
            Leash(), tmp_path / "file" / "postgres", tmp_path / "postgres.log"
        ):
            pass


def test_no_wheel_for_this_platform() -> None:
    with pytest.raises(UserError, match="--database"):
        postgres.find_programs("no_such_package")
