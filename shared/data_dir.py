"""The data directory of `myaku up`: its lock, its secret, its logs, and up.json."""

import fcntl
import os
import secrets
from pathlib import Path

import msgspec

from shared.runtime import UserError

DEFAULT = Path(".myaku")
OWNER_ONLY = 0o600


class UpFile(msgspec.Struct):
    """up.json: where everything is, for other tools; there while `myaku up` runs and is ready."""

    kafka: str
    database_url: str
    ingest: str
    scoring: str
    alerts: str
    write_key: str
    token: str
    operations: dict[str, str]
    config: str
    clock: str
    secret_key: str
    pids: dict[str, int]
    console: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What a caller of the scoring and alerts APIs sends."""
        return {"Authorization": f"Bearer {self.token}"}


class DataDir:
    """A data directory; at most one `myaku up` holds it at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.postgres = self.path / "postgres"
        self._up_file = self.path / "up.json"
        self.lock_file = self.path / "lock"
        self._replay_lock_file = self.path / "replay.lock"
        self.replay_checkpoint = self.path / "replay.json"

    def take(self) -> int:
        """Make it and lock it until the returned file descriptor is closed. Raises UserError."""
        return self._lock(
            self.lock_file,
            f"Another `myaku up` uses the data directory {self.path}:"
            " stop it first, or name another one with --data-dir.",
        )

    def take_for_replay(self) -> int:
        """Lock it for one replay at a time, as `take` does for one `myaku up`."""
        return self._lock(
            self._replay_lock_file,
            f"Another `myaku replay` uses the data directory {self.path}: wait until it is done.",
        )

    def _lock(self, path: Path, taken: str) -> int:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT, OWNER_ONLY)
        except OSError as error:
            raise UserError(f"The data directory {self.path} cannot be used: {error}.") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise UserError(taken) from None
        return lock

    def is_taken(self) -> bool:
        """Whether a `myaku up` runs here now."""
        if not self.lock_file.exists():
            return False
        try:
            os.close(self.take())
        except UserError:
            return True
        return False

    def secret_key_file(self) -> Path:
        """The file with this installation's secret key, made at the first time."""
        path = self.path / "secret_key"
        if not path.exists():
            _write(path, secrets.token_hex(32).encode())
        return path

    def log(self, name: str) -> Path:
        """The log of one process, emptied."""
        path = self.logs / f"{name}.log"
        path.write_bytes(b"")
        return path

    def write(self, up_file: UpFile) -> None:
        """Replace up.json as a whole."""
        _write(self._up_file, msgspec.json.format(msgspec.json.encode(up_file)) + b"\n")

    def read(self) -> UpFile | None:
        """What up.json says; None where there is none."""
        try:
            return msgspec.json.decode(self._up_file.read_bytes(), type=UpFile)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise UserError(f"{self._up_file} cannot be read: {error}.") from None

    def running(self) -> UpFile | None:
        """What up.json says, if a `myaku up` runs here now and is ready."""
        return self.read() if self.is_taken() else None

    def remove_up_file(self) -> None:
        """Nobody is to find us any more."""
        self._up_file.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as file:
        file.write(content)
    fresh.replace(path)
