"""Event files as lines, each with its time; what a line means is ingest's matter."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NamedTuple

import msgspec

from shared.history import parquet
from shared.runtime import UserError

LINE_BYTES_MAX = 256 * 1024
"""A longer line is cut: it is no event, and what is left of it still fits into the log."""

GZIP_MAGIC = b"\x1f\x8b"
NO_TIME = -1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class Line(NamedTuple):
    """A line and its place in time; NO_TIME for what comes before the first readable time."""

    time_ms: int
    value: bytes


class Head(msgspec.Struct, frozen=True, gc=False):
    """What is read of an event before it is sent."""

    time: Annotated[datetime, msgspec.Meta(tz=True)]
    account_id: Any = None
    source: Any = None

    @property
    def time_ms(self) -> int:
        """Milliseconds since 1970; what is older counts as 1970, where the calendar begins."""
        return max((self.time - _EPOCH) // _MS, 0)


_decode_head = msgspec.json.Decoder(Head).decode


def head(value: bytes) -> Head | None:
    """What can be read of a line; None where it has no readable time."""
    try:
        return _decode_head(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def read(path: Path) -> Iterator[bytes]:
    """The lines of an NDJSON (also gzip) or Parquet file. Raises UserError."""
    try:
        with path.open("rb") as file:
            magic = file.peek(4)[:4]
            if magic == parquet.MAGIC:
                yield from parquet.read(path)
            elif magic.startswith(GZIP_MAGIC):
                yield from split(io.BufferedReader(gzip.GzipFile(fileobj=file), 1 << 20))
            else:
                yield from split(file)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged: {error}.") from None


def split(file: BinaryIO) -> Iterator[bytes]:
    """Lines as they are, but for their end; a blank one is empty."""
    while line := file.readline(LINE_BYTES_MAX):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(LINE_BYTES_MAX)
        yield line.rstrip(b"\r\n") if line.strip() else b""


def timed(
    values: Iterable[bytes], latest_ms: int, untimed: Callable[[int], None] = lambda number: None
) -> Iterator[Line]:
    """Each line at its own time or, where that is unreadable or after `latest_ms`, at that of the
    line before: such a line is refused by ingest, and must not move the clock. `untimed` is told
    its number, from 1. Blank lines are left out."""
    time_ms = NO_TIME
    for number, value in enumerate(values, 1):
        if not value:
            continue
        known = head(value)
        if known and known.time_ms <= latest_ms:
            time_ms = known.time_ms
        else:
            untimed(number)
        yield Line(time_ms, value)
