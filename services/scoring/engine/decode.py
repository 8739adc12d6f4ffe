"""Records of `usage.accepted` as typed events in columns."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from services.scoring.engine.effects import Quarantined
from services.scoring.engine.table import IntArray
from shared.events import RESERVED_PREFIX, Control, Tick, decode_control


class Event(msgspec.Struct, gc=False):
    """An accepted event."""

    id: str
    type: str
    account_id: str
    time: str
    source: str
    received_at: str
    properties: dict[str, Any] = {}
    user_id: str | None = None
    original_time: str | None = None


class Record(msgspec.Struct, gc=False):
    """One record of the log, decoded: `body` is an event or a control record."""

    offset: int
    key: bytes | None
    value: bytes
    body: Event | Control


RawRecord = tuple[int, bytes | None, bytes | None]
"""Offset, key and value."""


@dataclass
class Columns:
    """Events as columns; all are [event]."""

    records: list[Record]
    events: list[Event]
    times_ms: IntArray
    own_ms: IntArray  # the times that they were given, before any correction
    received_ms: IntArray

    def take(self, positions: IntArray) -> "Columns":
        """Some of the events, in the order given."""
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


NOT_A_TIME = "times are RFC 3339 UTC with milliseconds, 24 characters"
_decode_event = msgspec.json.Decoder(Event).decode
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_RESERVED = RESERVED_PREFIX.encode()
_TIME = np.dtype({"names": ["text"], "formats": ["S23"], "itemsize": 24})  # without the Z


def decode(records: Iterable[RawRecord]) -> Batch:
    """Decode records in order; what cannot be decoded is put aside."""
    raw = [(offset, key, value or b"") for offset, key, value in records]
    try:
        return _batch([Record(*each, _parse(each[1], each[2])) for each in raw], [])
    except (msgspec.MsgspecError, ValueError):
        return _one_by_one(raw)


def _one_by_one(raw: Sequence[tuple[int, bytes | None, bytes]]) -> Batch:
    decoded: list[Record] = []
    bad: list[Quarantined] = []
    for offset, key, value in raw:
        try:
            decoded.append(Record(offset, key, value, decode_body(key, value)))
        except (msgspec.MsgspecError, ValueError) as error:
            bad.append(Quarantined(offset, str(error), value))
    return _batch(decoded, bad)


def _batch(decoded: list[Record], bad: list[Quarantined]) -> Batch:
    records: list[Record] = []
    events: list[Event] = []
    controls: list[tuple[int, Record]] = []
    for record in decoded:
        if isinstance(record.body, Event):
            records.append(record)
            events.append(record.body)
        else:
            controls.append((len(events), record))
    times = times_ms([event.time for event in events])
    own = times_ms([event.original_time or event.time for event in events])
    received = times_ms([event.received_at for event in events])
    return Batch(Columns(records, events, times, own, received), controls, bad)


def decode_body(key: bytes | None, value: bytes) -> Event | Control:
    """One record. Raises MsgspecError or ValueError."""
    body = _parse(key, value)
    if isinstance(body, Event):
        times_ms([body.time, body.received_at, body.original_time or body.time])
    return body


def _parse(key: bytes | None, value: bytes) -> Event | Control:
    """One record; an event's times are not read yet."""
    if key and key.startswith(_RESERVED):
        control: Control = decode_control(value)
        if isinstance(control, Tick):
            times_ms([control.time])
        return control
    if rb"\u0000" in value and _NUL.search(value):
        raise msgspec.ValidationError("NUL cannot be kept")
    return _decode_event(value)


def times_ms(texts: Sequence[str]) -> IntArray:
    """RFC 3339 UTC times with milliseconds, as milliseconds since 1970. Raises ValueError."""
    joined, count = "".join(texts), len(texts)
    marks = joined[10::24], joined[23::24]
    if set(map(len, texts)) - {24} or marks != ("T" * count, "Z" * count):
        raise ValueError(NOT_A_TIME)
    parsed = np.frombuffer(joined.encode("ascii"), _TIME)["text"].astype("datetime64[ms]")
    return parsed.astype(np.int64)
