"""A configuration made ready to compute with: signals, windows, measures, scorecards."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from services.scoring.engine.calendar import Calendar
from services.scoring.engine.event_types import selects
from services.scoring.engine.plan_scorecards import Condition, ScorecardPlan
from services.scoring.engine.success.plan import SuccessPlan
from services.scoring.engine.table import IntArray
from services.scoring.engine.users.plan import EngagementPlan
from shared.events import encode

CARRIED_MAX = 64
"""With more properties, an event that carries them all costs more than to be decoded twice."""

DISTINCT = (str, bool, int, float)  # the types of values that can be told apart


@dataclass(frozen=True)
class Signal:
    """What is kept of a stream of events, per account: the ground on which metrics stand.

    `kind` is `sum` (day sums), `users` (days of users), `set` (day sets of values), `active_days`,
    `open` or `latest`. `property` is None where the event itself counts, its day or its user.
    """

    kind: str
    property: str | None
    types: frozenset[str]  # "*" is every type that is not reserved
    where: tuple[tuple[str, Any], ...]
    closing: frozenset[str]  # the types that close what the others open
    definition: str  # canonical JSON of the above: a signal's identity

    def property_names(self) -> tuple[str, ...]:
        """The properties that it reads, of the events that it looks at."""
        own = () if self.property is None else (self.property,)
        return own + tuple(name for name, _ in self.where)

    def reads(self, event_type: str) -> bool:
        """Whether events of this type can match."""
        return selects(self.types, event_type) or self.closes(event_type)

    def closes(self, event_type: str) -> bool:
        """Whether events of this type close what others opened, whatever their properties."""
        return selects(self.closing, event_type)


@dataclass(frozen=True)
class Window:
    """The days `r − first … r − last` of a signal, where `r` is the running day."""

    signal: int
    first: int
    last: int

    def has(self, day: int, running_day: int) -> bool:
        """Whether a day is inside while another runs."""
        return running_day - self.first <= day <= running_day - self.last


@dataclass(frozen=True)
class Column:
    """One metric: how its value comes from the state.

    The terms of a ratio are numbers of other columns, or names of profile fields.
    """

    name: str
    kind: str
    window: int = -1  # number in Plan.windows
    against: int = -1  # number in Plan.windows: the window before, of a change
    signal: int = -1
    expires_days: int = 0
    horizon_days: int = 0
    scale: float = 1.0  # what a count or sum is multiplied with
    lengths: tuple[int, int] = (1, 1)  # days of the window, and of the one before it, of a rate
    terms: tuple[int | str, ...] = ()
    lowest: int = -1  # number of a rank

    @property
    def fields(self) -> tuple[str, ...]:
        """The profile fields that it reads."""
        return tuple(term for term in self.terms if isinstance(term, str))


@dataclass(frozen=True)
class Plan:
    """All that the engine needs to know of a configuration."""

    revision: str  # of the product's and the scorecards' part
    calendar: Calendar
    signals: tuple[Signal, ...]
    windows: tuple[Window, ...]
    columns: tuple[Column, ...]
    scorecards: tuple[ScorecardPlan, ...]
    bands: tuple[tuple[str, float], ...]  # from the highest limit down
    profile_numbers: tuple[str, ...]  # the profile fields that ratios read
    conditions: tuple[Condition, ...]  # what rules ask of profiles
    parts: tuple[str, ...]  # what a score can be made of: metrics, then rules, then an override
    success: SuccessPlan
    rhythms_ms: Mapping[str, int]  # of declared sources: how often one should be heard of
    engagement: EngagementPlan | None  # how users are ranked, if they are

    @cached_property
    def silence_column(self) -> int | None:
        """The first metric that tells the risk of silence."""
        kinds = [column.kind for column in self.columns]
        return kinds.index("silence_risk") if "silence_risk" in kinds else None

    @cached_property
    def carried(self) -> tuple[str, ...] | None:
        """The properties that events are decoded with: those that signals read, ascending.

        None where they are too many; then each type's are read later.
        """
        names = sorted({name for each in self.signals for name in each.property_names()})
        return tuple(names) if len(names) <= CARRIED_MAX else None

    def properties_of(self, event_type: str) -> tuple[str, ...]:
        """The properties that signals read of events of a type, ascending."""
        reading = [signal for signal in self.signals if signal.reads(event_type)]
        return tuple(sorted({name for signal in reading for name in signal.property_names()}))

    def windows_of(self, signal: int) -> list[int]:
        """The numbers of a signal's windows."""
        return [at for at, window in enumerate(self.windows) if window.signal == signal]

    def columns_of(self, card: ScorecardPlan) -> tuple[int, ...]:
        """The columns that a scorecard reads, and those that they are made of; ascending."""
        read = {
            *card.columns.tolist(),
            *(column for rule in card.rules for column, _ in rule.bounds),
        }
        return self.with_terms(read if card.gate is None else read | {card.gate.column})

    def with_terms(self, columns: Iterable[int]) -> tuple[int, ...]:
        """Columns with those that they are made of; ascending, so terms come first."""
        found = set(columns)
        for number in sorted(found, reverse=True):
            found |= {term for term in self.columns[number].terms if isinstance(term, int)}
        return tuple(sorted(found))

    @cached_property
    def band_numbers(self) -> IntArray:
        """[tenths 0 … 1000]: the number of the band."""
        names = [name for name, _ in self.bands]
        return np.array([names.index(self.band(tenths) or "") for tenths in range(1001)])

    @cached_property
    def least_tenths(self) -> IntArray:
        """[band]: the least score in tenths that is in it or in a higher one."""
        return np.searchsorted(-self.band_numbers, -np.arange(len(self.bands)))

    def band(self, tenths: int) -> str | None:
        """The band of a score in tenths; None for −1, no score."""
        if tenths < 0:
            return None
        return next(name for name, limit in self.bands if tenths / 10 >= limit)


def same(left: Any, right: Any) -> bool:
    """JSON equality, all the way down: 1 equals 1.0, true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def text_of(value: Any) -> bytes | None:
    """A distinct value as bytes: strings, booleans, numbers by their value; None for others."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return encode(value) if isinstance(value, DISTINCT) else None
