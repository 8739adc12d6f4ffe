"""Events of a batch in columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import numpy as np

from services.scoring.engine.event import Event, Properties, all_properties, path_of
from services.scoring.engine.table import HashArray, IntArray


class LogRecord(Protocol):
    """A record as it stands in the log."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class RawRecord(NamedTuple):
    """A record of the log, made by ourselves."""

    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Columns:
    """Events as columns; all are [event]. The hashes are keyed with the state's seed."""

    records: list[LogRecord]
    events: list[Event]
    types: list[str]
    sources: list[str]
    times_ms: IntArray
    own_ms: IntArray  # the times that they were given, before any correction
    received_ms: IntArray
    ids: HashArray  # of (source, id)
    accounts: HashArray
    users: HashArray  # without one, the hash of no text
    carry: Properties | None
    """What all events carry; None where they were decoded without, or some could not be with."""

    def __len__(self) -> int:
        return len(self.events)

    @cached_property
    def present(self) -> frozenset[str]:
        """The types that there are."""
        return frozenset(dict.fromkeys(self.types))

    def of(self, types: frozenset[str]) -> list[int]:
        """The positions of the events of some types, ascending."""
        wanted = types & self.present
        return [at for at, each in enumerate(self.types) if each in wanted] if wanted else []

    def property(self, name: str, positions: Sequence[int]) -> list[Any]:
        """One property of the events at some positions; None where an event has none of the name.

        The events are of types of which the plan has signals that read this property.
        """
        read, events = attrgetter(path_of(name)), self.events
        return [read(events[at]) for at in positions]

    def all_properties(self, position: int) -> dict[str, Any]:
        """All properties of an event, those that nobody reads too."""
        return all_properties(self.records[position].value)

    def take(self, positions: IntArray) -> "Columns":
        """Some of the events, ascending."""
        if len(positions) == len(self.events):
            return self
        places = positions.tolist()
        return self._each(lambda kept: [kept[at] for at in places], lambda kept: kept[positions])

    def part(self, start: int, end: int) -> "Columns":
        """The events from `start` to before `end`."""
        if end - start == len(self.events):
            return self
        part = slice(start, end)
        return self._each(lambda kept: kept[part], lambda kept: kept[part])

    def _each(
        self, of_list: Callable[[list[Any]], list[Any]], of_array: Callable[[Any], Any]
    ) -> "Columns":
        lists: dict[str, Any] = {name: of_list(getattr(self, name)) for name in _LISTS}
        arrays: dict[str, Any] = {name: of_array(getattr(self, name)) for name in _ARRAYS}
        return Columns(**lists, **arrays, carry=self.carry)


_LISTS = ("records", "events", "types", "sources")
_ARRAYS = ("times_ms", "own_ms", "received_ms", "ids", "accounts", "users")


def joined(parts: Sequence[Columns]) -> Columns:
    """The events of at least one part, one after the other."""
    if len(parts) == 1:
        return parts[0]
    carried = {part.carry for part in parts}
    lists: dict[str, Any] = {
        name: list(chain.from_iterable(getattr(part, name) for part in parts)) for name in _LISTS
    }
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS
    }
    return Columns(**lists, **arrays, carry=carried.pop() if len(carried) == 1 else None)
