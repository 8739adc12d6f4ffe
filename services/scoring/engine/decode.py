"""Records of `usage.accepted` as typed events in columns."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from services.scoring.engine.effects import Quarantined
from services.scoring.engine.table import IntArray
from shared.events import RESERVED_PREFIX, Control, Tick, decode_control


class Event(msgspec.Struct, gc=False):
    """An accepted event; its properties stay encoded until a signal needs them."""

    id: str
    type: str
    account_id: str
    time: str
    source: str
    received_at: str
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    user_id: str | None = None
    original_time: str | None = None


class Record(msgspec.Struct, gc=False):
    """One record of the log, decoded: `body` is an event or a control record."""

    offset: int
    key: bytes | None
    value: bytes
    body: Event | Control


NOT_A_TIME = "times are RFC 3339 UTC with milliseconds, 24 characters"
_decode_event = msgspec.json.Decoder(Event).decode
_decode_properties = msgspec.json.Decoder(dict[str, Any]).decode
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def decode(
    records: Sequence[tuple[int, bytes | None, bytes | None]],
) -> tuple[list[Record], list[Quarantined]]:
    """Decode (offset, key, value) in order; what cannot be decoded is put aside."""
    decoded: list[Record] = []
    bad: list[Quarantined] = []
    for offset, key, value in records:
        raw = value or b""
        try:
            decoded.append(Record(offset, key, raw, decode_body(key, raw)))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            bad.append(Quarantined(offset, str(error), raw))
    return decoded, bad


def decode_body(key: bytes | None, value: bytes) -> Event | Control:
    """One record. Raises MsgspecError or UnicodeDecodeError."""
    if key and key.startswith(RESERVED_PREFIX.encode()):
        control: Control = decode_control(value)
        if isinstance(control, Tick) and not _is_time(control.time):
            raise msgspec.ValidationError(NOT_A_TIME)
        return control
    event = _decode_event(value)
    if not all(map(_is_time, (event.time, event.received_at, event.original_time or event.time))):
        raise msgspec.ValidationError(NOT_A_TIME)
    _decode_properties(event.properties)
    if rb"\u0000" in value and _NUL.search(value):
        raise msgspec.ValidationError("NUL cannot be kept")
    return event


def _is_time(text: str) -> bool:
    if len(text) != 24 or text[23] != "Z" or text[10] != "T":
        return False
    try:
        np.datetime64(text[:23], "ms")
    except ValueError:
        return False
    return True


def times_ms(texts: Sequence[str]) -> IntArray:
    """RFC 3339 UTC times with milliseconds, as milliseconds since 1970."""
    return np.array([text[:23] for text in texts], dtype="datetime64[ms]").astype(np.int64)


@dataclass
class Columns:
    """Events as columns; all arrays are [event]."""

    records: list[Record]
    events: list[Event]
    times_ms: IntArray
    received_ms: IntArray

    def take(self, positions: IntArray) -> "Columns":
        """Some of the events, in the order given."""
        return Columns(
            [self.records[at] for at in positions],
            [self.events[at] for at in positions],
            self.times_ms[positions],
            self.received_ms[positions],
        )


def columns(records: Sequence[Record]) -> Columns:
    """Event records as columns."""
    events = [record.body for record in records if isinstance(record.body, Event)]
    return Columns(
        list(records),
        events,
        times_ms([event.time for event in events]),
        times_ms([event.received_at for event in events]),
    )
