"""Where events come from: what each source last sent, how much, and to which accounts.

The newest event times are those that ticks tell, not those of the events at hand: ticks are the
same in every partition, so every partition decides alike which source has fallen silent.
docs/freshness.md states all of it in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.engine.table import IntArray, distinct
from shared.events import SOURCES_MAX, Tick
from shared.times import time_ms

SLOTS = 64
"""The first 63 sources that a partition hears of have a slot of their own; all others share one."""

GAP_MS = 3_600_000
"""Live ticks of a source partition further apart than this have a gap between them."""

BoolArray = NDArray[np.bool_]

HOUR_MS = 3_600_000
COUNTED_HOURS = 24
NEVER = -1


@dataclass
class Source:
    """What is known of one source; `events` and `rejected` count by the hour of the clock."""

    number: int
    newest_ms: int | None = None  # the newest event time that a tick told
    status: str = "quiet"
    events: dict[int, int] = field(default_factory=dict)
    rejected: dict[int, int] = field(default_factory=dict)

    @property
    def slot(self) -> int:
        """Its row of `Sources.days`."""
        return min(self.number, SLOTS - 1)


class Waiting(NamedTuple):
    """What a live tick that is ahead of the clock says of newest event times."""

    at_ms: int
    newest_ms: dict[str, int]


class Gap(NamedTuple):
    """The times of two live ticks of a source partition that are far apart."""

    after_ms: int
    until_ms: int


@dataclass
class Sources:
    """All sources that a partition has heard of, in the order in which it did."""

    known: dict[str, Source] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    gap: Gap | None = None  # the newest
    days: IntArray = field(default_factory=lambda: np.full((0, 16), NEVER, np.int64))
    """[slot, account]: the day of the account's newest event from there."""


@dataclass
class SourceEffects:
    """What a step changed in a partition's sources."""

    sources: set[str] = field(default_factory=set)
    days: list[tuple[IntArray, IntArray]] = field(default_factory=list)  # (slots, accounts)
    waiting_changed: bool = False  # or the gap
    turns: list[tuple[str, str, str]] = field(default_factory=list)  # (source, before, after)


def source_named(sources: Sources, name: str, effects: SourceEffects) -> Source | None:
    """The source of that name, numbered when it is new; None beyond SOURCES_MAX."""
    found = sources.known.get(name)
    if found is None and len(sources.known) < SOURCES_MAX:
        found = sources.known[name] = Source(len(sources.known))
    if found is not None:
        effects.sources.add(name)
    return found


def make_room(sources: Sources, slots: int, accounts: int) -> None:
    """Let `days` have so many rows and columns at least."""
    rows, columns = sources.days.shape
    if slots > rows or accounts > columns:
        shape = max(slots, rows), max(accounts, 2 * columns) if accounts > columns else columns
        larger = np.full(shape, NEVER, np.int64)
        larger[:rows, :columns] = sources.days
        sources.days = larger


def note_events(
    sources: Sources,
    names: Sequence[str],
    rows: tuple[IntArray, IntArray, BoolArray],
    now_ms: int,
    effects: SourceEffects,
) -> None:
    """Count events, and remember whose they are.

    `rows` are [event]: accounts, days, and whether these are inside the horizon.
    """
    if not names:
        return
    accounts, days, inside = rows
    found = {name: source_named(sources, name, effects) for name in dict.fromkeys(names)}
    numbers = {name: one.number if one else SOURCES_MAX for name, one in found.items()}
    if len(numbers) == 1:
        own = np.repeat(np.array([*numbers.values()]), len(names))
    else:
        own = np.fromiter(map(numbers.__getitem__, names), np.int64, len(names))
    counts = np.bincount(own, minlength=1)
    for one in found.values():
        if one:
            add_to_hour(one.events, now_ms, int(counts[one.number]), now_ms)
    slots = np.minimum(own, SLOTS - 1)
    make_room(sources, int(slots.max()) + 1, int(accounts.max()) + 1)
    newer = np.flatnonzero(inside & (days > sources.days[slots, accounts]))
    if len(newer):
        slots, accounts = slots[newer], accounts[newer]
        np.maximum.at(sources.days, (slots, accounts), days[newer])
        columns = sources.days.shape[1]
        effects.days.append(np.divmod(distinct(slots * columns + accounts), columns))


def add_to_hour(counts: dict[int, int], at_ms: int, more: int, now_ms: int | None) -> None:
    """Add to the count of an instant's hour; hours that are not shown any more are dropped."""
    hour = at_ms // HOUR_MS
    counts[hour] = counts.get(hour, 0) + more
    first = 0 if now_ms is None else now_ms // HOUR_MS - COUNTED_HOURS
    for old in [one for one in counts if one < first]:
        del counts[old]


def hear(sources: Sources, tick: Tick, before_ms: int | None, effects: SourceEffects) -> None:
    """Keep what a live tick says of newest event times until the clock has come to it.

    `before_ms` is the newest live tick of its source partition before it.
    """
    at_ms = time_ms(tick.time)
    if before_ms is not None and at_ms - before_ms > GAP_MS:
        sources.gap = Gap(before_ms, at_ms)
        effects.waiting_changed = True
    told = {name: time_ms(newest) for name, newest in tick.sources.items()}
    news = {name: newest for name, newest in told.items() if newest > newest_ms(sources, name)}
    if news:
        same = next((one for one in reversed(sources.waiting) if one.at_ms == at_ms), None)
        if same is None:
            sources.waiting.append(Waiting(at_ms, news))
        else:  # of another source partition: one entry for each time, however long the clock stands
            merged = {name: max(at, same.newest_ms.get(name, at)) for name, at in news.items()}
            same.newest_ms.update(merged)
        effects.waiting_changed = True


def newest_ms(sources: Sources, name: str) -> int:
    """The newest event time that ticks told of a source; NEVER without one."""
    known = sources.known.get(name)
    return NEVER if known is None or known.newest_ms is None else known.newest_ms


def learn(sources: Sources, tick: Tick, effects: SourceEffects) -> None:
    """Take in the newest event times of a tick at once."""
    _learn(sources, {name: time_ms(told) for name, told in tick.sources.items()}, effects)


def learn_until(sources: Sources, at_ms: int, effects: SourceEffects) -> None:
    """Take in what the live ticks up to an instant said."""
    due = [one for one in sources.waiting if one.at_ms <= at_ms]
    if due:
        sources.waiting = [one for one in sources.waiting if one.at_ms > at_ms]
        effects.waiting_changed = True
    for one in due:
        _learn(sources, one.newest_ms, effects)


def _learn(sources: Sources, told: dict[str, int], effects: SourceEffects) -> None:
    for name, told_ms in told.items():
        if told_ms > newest_ms(sources, name):
            found = source_named(sources, name, effects)
            if found is not None:
                found.newest_ms = told_ms


def count_rejected(
    sources: Sources, tick: Tick, now_ms: int | None, effects: SourceEffects
) -> None:
    """Count the refusals that a tick tells of."""
    for name, count in tick.rejected.items():
        found = source_named(sources, name, effects)
        if found is not None:
            add_to_hour(found.rejected, time_ms(tick.time), count, now_ms)
