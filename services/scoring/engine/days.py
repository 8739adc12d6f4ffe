"""Days as bits: two words of 64, a day's bit at its number modulo 128. Pure."""

import numpy as np

from services.scoring.engine.state import RING_DAYS
from services.scoring.engine.table import BoolArray, HashArray, IntArray

_WORD = 64
_ALL = (1 << RING_DAYS) - 1
_LOW = (1 << _WORD) - 1
_LOW_BITS = np.array([1 << slot & _LOW for slot in range(RING_DAYS)], dtype=np.uint64)
_HIGH_BITS = np.array([1 << slot >> _WORD for slot in range(RING_DAYS)], dtype=np.uint64)

Bits = tuple[np.uint64, np.uint64]


def day_bits(days: IntArray) -> tuple[HashArray, HashArray]:
    """The (low, high) words with the bit of each day."""
    slots = days % RING_DAYS
    return _LOW_BITS[slots], _HIGH_BITS[slots]


def period_bits(first_day: int, last_day: int) -> Bits:
    """The (low, high) words with the bits of the days from the first to the last, included."""
    run = ((1 << (last_day - first_day + 1)) - 1) << (first_day % RING_DAYS)
    bits = (run | (run >> RING_DAYS)) & _ALL
    return np.uint64(bits & _LOW), np.uint64(bits >> _WORD)


def any_bit(low: HashArray, high: HashArray, bits: Bits) -> BoolArray:
    """Which of the (low, high) words have a bit inside the period."""
    found: BoolArray = ((low & bits[0]) | (high & bits[1])) != 0
    return found


def count_bits(low: HashArray, high: HashArray) -> IntArray:
    """How many bits each of the (low, high) words has."""
    counts: IntArray = np.bitwise_count(low).astype(np.int64)
    counts += np.bitwise_count(high)
    return counts


def turned_bits(from_day: int, to_day: int) -> Bits:
    """The (low, high) words of the days that are still the same after days have turned."""
    cleared = 0
    for day in range(max(from_day, to_day - RING_DAYS) + 1, to_day + 1):
        cleared |= 1 << (day % RING_DAYS)
    kept = _ALL & ~cleared
    return np.uint64(kept & _LOW), np.uint64(kept >> _WORD)


def newest_ages(low: HashArray, high: HashArray, running_day: int) -> IntArray:
    """How many days ago each of the (low, high) words has its newest bit; 128 without one."""
    turned = (running_day + 1) % RING_DAYS
    if turned >= _WORD:
        low, high = high, low
    right, left = np.uint64(turned % _WORD), np.uint64(_WORD - turned % _WORD)
    if right:
        low, high = (low >> right) | (high << left), (high >> right) | (low << left)
    newest = np.where(high != 0, high, low)
    # without the bit below the first one, the rounding to a double cannot carry over
    exponents = np.frexp((newest & ~(newest >> np.uint64(1))).astype(np.float64))[1].astype(
        np.int64
    )
    ages: IntArray = RING_DAYS - exponents - np.where(high != 0, _WORD, 0)
    return ages
