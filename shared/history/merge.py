"""Files merged by time; one that is not in order is sorted first, on disk, in bounded memory."""

import heapq
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

from shared.history.lines import NO_TIME, Line, read, timed

RUN_BYTES = 64 * 1024 * 1024
LINE_OVERHEAD_BYTES = 150
RUNS_MAX = 200
"""Open files; more runs than that are merged into one."""

BY_TIME = attrgetter("time_ms")
_PREFIX = struct.Struct("<qI")


@dataclass(frozen=True)
class EventFile:
    """A file that has been read once from end to end."""

    path: Path
    lines: int
    is_sorted: bool
    first_ms: int
    last_ms: int
    """The least and the greatest time of an event; NO_TIME where there is none."""
    untimed: int
    """Lines without a time that can be: ingest refuses them."""
    first_untimed: int
    """The number of the first of them, from 1; 0 where there is none."""

    def remark(self) -> str | None:
        """Which line cannot be an event, where there is one."""
        if not self.untimed:
            return None
        others = f", with {self.untimed - 1:,} more of this file" if self.untimed > 1 else ""
        return (
            f"{self.path}, line {self.first_untimed}: this is no JSON object with a `time` that can"
            f" be read and is not in the future. It is refused{others}."
        )


def survey(path: Path, latest_ms: int) -> EventFile:
    """Read a file to its end, so that what is wrong with it comes up before anything is sent."""
    lines, is_sorted, before_ms = 0, True, NO_TIME
    first_ms = last_ms = NO_TIME
    untimed = first_untimed = 0

    def note(number: int) -> None:
        nonlocal untimed, first_untimed
        untimed += 1
        first_untimed = first_untimed or number

    for line in timed(read(path), latest_ms, note):
        lines += 1
        is_sorted = is_sorted and line.time_ms >= before_ms
        before_ms = line.time_ms
        first_ms = before_ms if first_ms == NO_TIME else min(first_ms, before_ms)
        last_ms = max(last_ms, before_ms)
    return EventFile(path, lines, is_sorted, first_ms, last_ms, untimed, first_untimed)


def merge(files: Sequence[EventFile], latest_ms: int, scratch: Path) -> Iterator[Line]:
    """All lines by time; lines of one time in the order of the files, and within them.

    What is not sorted is sorted before this returns, in `scratch`, a directory with room for it.
    """
    streams = []
    for file in files:
        lines = timed(read(file.path), latest_ms)
        streams.append(lines if file.is_sorted else sort_on_disk(lines, scratch))
    return heapq.merge(*streams, key=BY_TIME)


def sort_on_disk(
    lines: Iterable[Line], scratch: Path, run_bytes: int = RUN_BYTES, runs_max: int = RUNS_MAX
) -> Iterator[Line]:
    """The lines by time, equal ones in their order; in memory are `run_bytes` at a time."""
    runs: list[BinaryIO] = []
    for chunk in _chunks(lines, run_bytes):
        runs.append(_write(sorted(chunk, key=BY_TIME), scratch))
        if len(runs) >= runs_max:
            runs = [_write(_merged(runs), scratch)]
    return _merged(runs)


def _chunks(lines: Iterable[Line], run_bytes: int) -> Iterator[list[Line]]:
    chunk: list[Line] = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += len(line.value) + LINE_OVERHEAD_BYTES
        if size >= run_bytes:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _merged(runs: Sequence[BinaryIO]) -> Iterator[Line]:
    return heapq.merge(*map(_read, runs), key=BY_TIME)


def _write(lines: Iterable[Line], scratch: Path) -> BinaryIO:
    """A run in a file that has no name, so that nothing is left of it whatever happens."""
    run: BinaryIO = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - closed when read
    for line in lines:
        run.write(_PREFIX.pack(line.time_ms, len(line.value)))
        run.write(line.value)
    run.seek(0)
    return run


def _read(run: BinaryIO) -> Iterator[Line]:
    with run:
        while prefix := run.read(_PREFIX.size):
            time_ms, size = _PREFIX.unpack(prefix)
            yield Line(time_ms, run.read(size))
