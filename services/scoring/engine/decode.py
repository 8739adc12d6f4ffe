"""Records of `usage.accepted` as typed events in columns."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from services.scoring.engine.table import IntArray
from shared.events import RESERVED_PREFIX, Control, Erasure, Tick, decode_control
from shared.native.event import NAME_CHARACTERS_MAX, NUL
from shared.times import time_ms

Name = Annotated[str, msgspec.Meta(max_length=NAME_CHARACTERS_MAX)]


class Quarantined(NamedTuple):
    """A record that could not be used, and why."""

    offset: int
    reason: str
    value: bytes


class Event(msgspec.Struct, gc=False):
    """An accepted event, its properties still encoded."""

    id: Name
    type: Name
    account_id: Name
    time: str
    source: Name
    received_at: str
    encoded: msgspec.Raw = msgspec.field(name="properties", default=msgspec.Raw(b"{}"))
    user_id: Name | None = None
    original_time: str | None = None

    @property
    def properties(self) -> dict[str, Any]:
        """All properties: for the few types of which they all are needed."""
        return _decode_properties(self.encoded)


RawRecord = tuple[int, bytes | None, bytes | None]
"""Offset, key and value."""


class Record(msgspec.Struct, gc=False):
    """A control record of the log, decoded."""

    offset: int
    key: bytes | None
    value: bytes
    body: Control


@dataclass(frozen=True)
class Columns:
    """Events as columns; all are [event]."""

    records: list[RawRecord]
    events: list[Event]
    times_ms: IntArray
    own_ms: IntArray  # the times that they were given, before any correction
    received_ms: IntArray

    def __len__(self) -> int:
        return len(self.events)

    @cached_property
    def types(self) -> list[str]:
        """The type of each event."""
        return [event.type for event in self.events]

    @cached_property
    def present(self) -> frozenset[str]:
        """The types that there are."""
        return frozenset(dict.fromkeys(self.types))

    @cached_property
    def sources(self) -> list[str]:
        """The source of each event."""
        return [event.source for event in self.events]

    def of(self, types: frozenset[str]) -> list[int]:
        """The positions of the events of some types, ascending."""
        wanted = types & self.present
        return [at for at, each in enumerate(self.types) if each in wanted] if wanted else []

    def take(self, positions: IntArray) -> "Columns":
        """Some of the events, ascending."""
        if len(positions) == len(self.events):
            return self
        places = positions.tolist()
        return Columns(
            [self.records[at] for at in places],
            [self.events[at] for at in places],
            self.times_ms[positions],
            self.own_ms[positions],
            self.received_ms[positions],
        )

    def part(self, start: int, end: int) -> "Columns":
        """The events from `start` to before `end`."""
        if end - start == len(self.events):
            return self
        part = slice(start, end)
        return Columns(
            self.records[part],
            self.events[part],
            self.times_ms[part],
            self.own_ms[part],
            self.received_ms[part],
        )


@dataclass
class Batch:
    """Records of one partition, decoded."""

    events: Columns
    controls: list[tuple[int, Record]]  # each with the number of events before it
    bad: list[Quarantined]


CHUNK_RECORDS = 5_000
"""So many are decoded at a time: what they need stays in the cache."""

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding bytes may raise: the record is put aside."""

NOT_A_TIME = "times are RFC 3339 UTC with milliseconds, 24 characters"
_decode_event = msgspec.json.Decoder(Event).decode
_decode_properties = msgspec.json.Decoder(dict[str, Any]).decode
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_RESERVED = RESERVED_PREFIX.encode()
_TIME = np.dtype({"names": ["text"], "formats": ["S23"], "itemsize": 24})  # without the Z


def decode(records: Iterable[RawRecord]) -> Batch:
    """Decode records in order; what cannot be decoded is put aside."""
    left = iter(records)
    chunks = iter(lambda: list(islice(left, CHUNK_RECORDS)), [])
    return _joined([_chunk(chunk) for chunk in chunks])


def _chunk(records: list[RawRecord]) -> Batch:
    try:
        return _batch(records, [])
    except UNREADABLE:
        return _one_by_one(records)


def _joined(batches: Sequence[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    parts = [batch.events for batch in batches]
    starts = accumulate((len(part) for part in parts), initial=0)
    return Batch(
        Columns(
            [record for part in parts for record in part.records],
            [event for part in parts for event in part.events],
            *(
                np.concatenate([np.zeros(0, np.int64), *(getattr(part, name) for part in parts)])
                for name in ("times_ms", "own_ms", "received_ms")
            ),
        ),
        [
            (start + before, record)
            for start, batch in zip(starts, batches, strict=False)
            for before, record in batch.controls
        ],
        [bad for batch in batches for bad in batch.bad],
    )


def _one_by_one(records: Sequence[RawRecord]) -> Batch:
    good: list[RawRecord] = []
    bad: list[Quarantined] = []
    for record in records:
        try:
            _batch([record], [])
            good.append(record)
        except UNREADABLE as error:
            bad.append(Quarantined(record[0], str(error), record[2] or b""))
    return _batch(good, bad)


def _batch(records: list[RawRecord], bad: list[Quarantined]) -> Batch:
    ours = _controls(records)
    controls = [(at - before, _control(records[at])) for before, at in enumerate(ours)]
    if ours:
        aside = frozenset(ours)
        records = [record for at, record in enumerate(records) if at not in aside]
    values = [value or b"" for _, _, value in records]
    _refuse_nul(values)
    events = list(map(_decode_event, values))
    times = times_ms([event.time for event in events])
    own = times
    if corrected := [at for at, event in enumerate(events) if event.original_time is not None]:
        own = times.copy()
        own[corrected] = times_ms([events[at].original_time or "" for at in corrected])
    received = times_ms([event.received_at for event in events])
    return Batch(Columns(records, events, times, own, received), controls, bad)


def _controls(records: list[RawRecord]) -> list[int]:
    """The positions of the control records: most batches have none, or a few."""
    if _RESERVED not in b"\n".join([key or b"" for _, key, _ in records]):
        return []
    return [at for at, (_, key, _) in enumerate(records) if key and key.startswith(_RESERVED)]


def _refuse_nul(values: Sequence[bytes]) -> None:
    text = b"\n".join(values)
    if b"\\" in text and rb"\u0000" in text and any(map(_NUL.search, values)):  # the first is quick
        raise msgspec.ValidationError("NUL cannot be kept")


def _control(record: RawRecord) -> Record:
    offset, key, value = record
    body: Control = decode_control(value or b"")
    if isinstance(body, Tick | Erasure):
        _check(body)
    return Record(offset, key, value or b"", body)


def _check(body: Tick | Erasure) -> None:
    """Raises ValueError where a control record has what nobody can read, or keep."""
    times, names = [body.time], []
    if isinstance(body, Tick):
        times += body.sources.values()
        names += [*body.sources, *body.rejected]
    else:
        names.append(body.user_id)
    times_ms(times)
    for time in times:
        time_ms(time)  # which knows fewer years
    if any(not 1 <= len(name) <= NAME_CHARACTERS_MAX or NUL in name for name in names):
        raise ValueError(f"names have 1 to {NAME_CHARACTERS_MAX} characters, and no NUL")


def times_ms(texts: Sequence[str]) -> IntArray:
    """RFC 3339 UTC times with milliseconds, as milliseconds since 1970. Raises ValueError."""
    joined, count = "".join(texts), len(texts)
    marks = joined[10::24], joined[23::24]
    if set(map(len, texts)) - {24} or marks != ("T" * count, "Z" * count):
        raise ValueError(NOT_A_TIME)
    parsed = np.frombuffer(joined.encode("ascii"), _TIME)["text"].astype("datetime64[ms]")
    return parsed.astype(np.int64)
