"""Which sources have fallen silent, and which accounts are held for it."""

from collections.abc import Mapping

import numpy as np

from services.scoring.engine.effects import Effects
from services.scoring.engine.sources import (
    Gap,
    Source,
    learn_until,
    make_room,
    source_named,
)
from services.scoring.engine.state import State
from services.scoring.engine.table import BoolArray, IntArray
from shared.configuration import HORIZON_DAYS

QUIET_MS = 24 * 3_600_000
"""A source without a rhythm that is silent for longer is quiet."""


def status_of(source: Source, every_ms: int | None, gap: Gap | None, at_ms: int) -> str:
    """`ok`, `stale` or `quiet` at an instant; `every_ms` is its declared rhythm."""
    if source.newest_ms is None:
        return "quiet"
    silent_ms = at_ms - source.newest_ms
    missed = gap is not None and source.newest_ms <= gap.after_ms < at_ms
    if every_ms is not None:
        return "stale" if missed or silent_ms > every_ms else "ok"
    if missed and gap is not None:
        was_quiet = gap.after_ms - source.newest_ms > QUIET_MS
        if not was_quiet and at_ms <= gap.until_ms + QUIET_MS:
            return "stale"
    return "quiet" if silent_ms > QUIET_MS else "ok"


def declare(state: State, effects: Effects) -> None:
    """Number the sources that the configuration declares, in its order."""
    assert state.plan is not None
    for name in state.plan.rhythms_ms:
        if name not in state.sources.known:
            source_named(state.sources, name, effects.sources)


def turn_stale(state: State, at_ms: int, effects: Effects) -> IntArray:
    """Decide at an instant of the clock who is stale. Returns who begins to be.

    Who is no longer stale is to be evaluated: only time has passed.
    """
    assert state.plan is not None
    accounts, count = state.accounts, state.accounts.count
    learn_until(state.sources, at_ms, effects.sources)
    _judge(state, state.plan.rhythms_ms, at_ms, effects)
    accounts.unheard[:count] = _touched_by_stale(state)
    stale = accounts.unheard[:count].copy()
    stale[list(accounts.overrides)] = False  # no silence lowers a score that a person has set
    before = accounts.stale[:count].copy()
    accounts.stale[:count] = stale
    accounts.touched[:count] |= before & ~stale
    return np.flatnonzero(stale & ~before)


def _judge(state: State, rhythms_ms: Mapping[str, int], at_ms: int, effects: Effects) -> None:
    for name, source in state.sources.known.items():
        status = status_of(source, rhythms_ms.get(name), state.sources.gap, at_ms)
        if status != source.status:
            effects.sources.turns.append((name, source.status, status))
            effects.sources.sources.add(name)
            source.status = status


def _touched_by_stale(state: State) -> BoolArray:
    """Which accounts had an event of a stale source inside the horizon. [account]"""
    sources, count = state.sources, state.accounts.count
    slots = sorted({one.slot for one in sources.known.values() if one.status == "stale"})
    make_room(sources, max(slots, default=-1) + 1, count)
    oldest = state.day - HORIZON_DAYS
    touched: BoolArray = np.any(sources.days[slots, :count] >= oldest, axis=0)
    return touched
