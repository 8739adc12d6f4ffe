"""Windows of days as bits, and the turn of the running day."""

import numpy as np
from numpy.typing import NDArray

from services.scoring.engine.active_days import fade
from services.scoring.engine.by_owner import ByOwner
from services.scoring.engine.days import Bits, any_bit, day_bits, period_bits
from services.scoring.engine.effects import Effects
from services.scoring.engine.open_keys import forget_closed
from services.scoring.engine.plan import Window
from services.scoring.engine.state import (
    ActiveDays,
    DaySets,
    OpenKeys,
    State,
)
from services.scoring.engine.sums import DaySums
from services.scoring.engine.table import HashTable, IntArray, distinct
from services.scoring.engine.users.state import UserDays


def window_bits(window: Window, running_day: int) -> Bits:
    """The (low, high) words with the bits of the days r − first … r − last."""
    return period_bits(running_day - window.first, running_day - window.last)


def enter_days(
    state: State,
    kept: DaySets | UserDays,
    owners: IntArray | NDArray[np.int32],
    things: IntArray,
    days: IntArray,
) -> IntArray:
    """Set the bits of things on days, and count whom they bring into a window.

    `things` and `days` are [event]. Returns the things for which it was news, ascending.
    """
    assert state.plan is not None
    low, high = day_bits(days)
    news = ((kept.low[things] & low) | (kept.high[things] & high)) == 0
    things, low, high = things[news], low[news], high[news]
    touched = distinct(things)
    before = kept.low[touched], kept.high[touched]
    np.bitwise_or.at(kept.low, things, low)
    np.bitwise_or.at(kept.high, things, high)
    for window, counts in kept.counts.items():
        bits = window_bits(state.plan.windows[window], state.day)
        inside = any_bit(kept.low[touched], kept.high[touched], bits) & ~any_bit(*before, bits)
        np.add.at(counts, owners[touched[inside]], 1)
    return touched


def recount(state: State, kept: DaySets) -> None:
    """Count, for each window, the things of each account with a bit inside it."""
    assert state.plan is not None
    used = kept.things.count
    for window, counts in kept.counts.items():
        bits = window_bits(state.plan.windows[window], state.day)
        inside = any_bit(kept.low[:used], kept.high[:used], bits)
        counts[:] = np.bincount(kept.owners[:used][inside], minlength=len(counts))


def turn_day(state: State, effects: Effects) -> None:
    """The next day runs: its slot in the rings is empty, and all windows have moved."""
    state.clock.running_day += 1
    assert state.plan is not None
    low, high = day_bits(np.array([state.day]))
    for kept in state.signals:
        if isinstance(kept, DaySums):
            kept.turn(state.day, state.accounts.count, state.plan.windows)
        elif isinstance(kept, DaySets):
            kept.low &= ~low
            kept.high &= ~high
            recount(state, kept)
        elif isinstance(kept, ActiveDays):
            fade(kept, state.day)
            kept.low &= ~low
            kept.high &= ~high
        elif isinstance(kept, OpenKeys):
            forget_closed(state, kept, effects)


def forget_things(state: State, least: int = 10_000) -> None:
    """Drop things that left all days, where they are most of at least `least`.

    Things are numbered anew: between steps only, when no effects name them any more.
    """
    for kept in state.signals:
        if not isinstance(kept, DaySets) or kept.things.count < least:
            continue
        used = kept.things.count
        alive = (kept.low[:used] | kept.high[:used]) != 0
        if 2 * int(alive.sum()) > used:
            continue
        hashes = kept.things.hashes[:used][alive]
        kept.things, kept.by_owner = HashTable(), ByOwner()
        kept.things.add(hashes)
        kept.owners = kept.owners[:used][alive]
        kept.low, kept.high = kept.low[:used][alive], kept.high[:used][alive]
