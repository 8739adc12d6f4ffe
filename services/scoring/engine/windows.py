"""Windows of days as bits, and the turn of the running day."""

import numpy as np

from services.scoring.engine.plan import Window
from services.scoring.engine.state import RING_DAYS, BoolArray, DaySets, DaySums, State
from services.scoring.engine.table import HashArray, HashTable, IntArray

_WORD = 64
_ALL = (1 << RING_DAYS) - 1
_LOW = (1 << _WORD) - 1
_ONE = np.uint64(1)

Bits = tuple[np.uint64, np.uint64]


def day_bits(days: IntArray) -> tuple[HashArray, HashArray]:
    """The (low, high) words with the bit of each day."""
    slots = (days % RING_DAYS).astype(np.uint64)
    low = np.where(slots < _WORD, _ONE << (slots % np.uint64(_WORD)), np.uint64(0))
    high = np.where(slots >= _WORD, _ONE << (slots % np.uint64(_WORD)), np.uint64(0))
    return low, high


def window_bits(window: Window, running_day: int) -> Bits:
    """The (low, high) words with the bits of the days r − first … r − last."""
    length = window.first - window.last + 1
    start = (running_day - window.first) % RING_DAYS
    run = ((1 << length) - 1) << start
    bits = (run | (run >> RING_DAYS)) & _ALL
    return np.uint64(bits & _LOW), np.uint64(bits >> _WORD)


def any_bit(low: HashArray, high: HashArray, bits: Bits) -> BoolArray:
    """Which things have a bit inside the window. [thing]"""
    found: BoolArray = ((low & bits[0]) | (high & bits[1])) != 0
    return found


def recount(state: State, kept: DaySets) -> None:
    """Count, for each window, the things of each account with a bit inside it."""
    assert state.plan is not None
    used = kept.things.count
    for window, counts in kept.counts.items():
        bits = window_bits(state.plan.windows[window], state.day)
        inside = any_bit(kept.low[:used], kept.high[:used], bits)
        counts[:] = np.bincount(kept.owners[:used][inside], minlength=len(counts))


def turn_day(state: State) -> None:
    """The next day runs: its slot in the rings is empty, and all windows have moved."""
    state.clock.running_day += 1
    slot = state.day % RING_DAYS
    low, high = day_bits(np.array([state.day]))
    for kept in state.signals:
        if isinstance(kept, DaySums):
            kept.values[slot] = 0
        elif isinstance(kept, DaySets):
            kept.low &= ~low
            kept.high &= ~high
            recount(state, kept)


def turned_bits(from_day: int, to_day: int) -> Bits:
    """The (low, high) words of the days that are still the same after days have turned."""
    cleared = 0
    for day in range(max(from_day, to_day - RING_DAYS) + 1, to_day + 1):
        cleared |= 1 << (day % RING_DAYS)
    kept = _ALL & ~cleared
    return np.uint64(kept & _LOW), np.uint64(kept >> _WORD)


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
        kept.things = HashTable()
        kept.things.add(hashes)
        kept.owners = kept.owners[:used][alive]
        kept.low, kept.high = kept.low[:used][alive], kept.high[:used][alive]
