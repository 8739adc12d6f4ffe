"""Records of `health.changes` as what they mean to alerts; each is decoded once. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from services.alerts.routing import Directory
from services.alerts.rules import Threshold
from shared.configuration import InvalidConfiguration, parse
from shared.events import (
    RESERVED_PREFIX,
    Barrier,
    Config,
    Health,
    Marker,
    Tick,
    decode_control,
    decode_health,
)
from shared.times import time_ms

RawRecord = tuple[int, bytes | None, bytes | None]  # offset, key, value


class Rulebook:
    """A configuration made ready: its rules in their order, who is told, and the record it is."""

    def __init__(self, value: bytes) -> None:
        record = msgspec.json.decode(value, type=Config)
        configuration = parse(record.document)
        self.value = value
        self.sequence = record.sequence
        self.rules = {rule.id: Threshold.of(rule) for rule in configuration.alerts.rules}
        self.directory = Directory(configuration.routing, configuration.people)
        self.zone = ZoneInfo(configuration.product.time_zone)

    def today(self, at_ms: int) -> date:
        """The day of the product's calendar at an instant."""
        return datetime.fromtimestamp(at_ms / 1000, self.zone).date()


@lru_cache(maxsize=4)
def rulebook(value: bytes) -> Rulebook:
    """The rulebook of a configuration record. Raises InvalidConfiguration or MsgspecError."""
    return Rulebook(value)


@dataclass(frozen=True, slots=True)
class News:
    """An account's health, at an instant."""

    at_ms: int
    health: Health
    value: bytes


@dataclass(frozen=True, slots=True)
class Time:
    """A tick."""

    at_ms: int
    live: bool


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record that cannot be read."""

    offset: int
    reason: str
    value: bytes


Entry = News | Time | Rulebook | Barrier

UNREADABLE = (
    msgspec.MsgspecError,
    InvalidConfiguration,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    RecursionError,
    MemoryError,
)
"""What decoding bytes may raise, and more than it ever did: the record is put aside."""


def decode(records: Sequence[RawRecord]) -> tuple[list[Entry], list[Quarantined]]:
    """Decode records in order; what cannot be decoded is put aside, a marker is left out."""
    entries: list[Entry] = []
    bad: list[Quarantined] = []
    for offset, key, value in records:
        raw = value or b""
        try:
            entry = _decode(key, raw)
        except UNREADABLE as error:
            bad.append(Quarantined(offset, str(error) or repr(error), raw))
            continue
        if entry is not None:
            entries.append(entry)
    return entries, bad


def _decode(key: bytes | None, value: bytes) -> Entry | None:
    if not (key and key.startswith(RESERVED_PREFIX.encode())):
        health = decode_health(value)
        return News(time_ms(health.as_of), health, value)
    control = decode_control(value)
    if isinstance(control, Tick):
        return Time(time_ms(control.time), control.mode == "live")
    if isinstance(control, Config):
        return rulebook(value)
    return None if isinstance(control, Marker) else control
