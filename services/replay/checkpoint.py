"""How far a replay has come, so that an interrupted one goes on instead of starting anew."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from shared.runtime import UserError


class Checkpoint(msgspec.Struct, frozen=True):
    """`items`: how many lines and ticks of these files the log `log_id` has acknowledged.

    `latest_ms` is the wall time of the start: what is later than that does not move the clock, and
    whoever goes on must decide the same.
    """

    log_id: str
    files: str
    latest_ms: int
    items: int = 0
    lines: int = 0


def read(path: Path) -> Checkpoint | None:
    """What an interrupted replay left; None where there is nothing, or nothing readable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Checkpoint)
    except (OSError, msgspec.MsgspecError):
        return None


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Replace it as a whole."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(msgspec.json.encode(checkpoint))
    fresh.replace(path)


def fingerprint(files: Sequence[Path], *how: str) -> str:
    """The content of the files in their order, and `how` they are sent: whoever has the same sends
    the same lines and ticks in the same order. Raises UserError."""
    total = hashlib.sha256(repr(how).encode())
    for path in files:
        try:
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    return total.hexdigest()
