"""The days on which an account had events: in the horizon as bits, before it as a fading sum."""

from functools import lru_cache

import numpy as np

from services.scoring.engine.days import any_bit, count_bits, period_bits
from services.scoring.engine.silence import HALF_LIFE_DAYS, YOUNG_DAYS, silence_risk
from services.scoring.engine.state import NEVER, RING_DAYS, ActiveDays
from services.scoring.engine.table import BoolArray, FloatArray, HashArray, IntArray, distinct
from shared.configuration import HORIZON_DAYS

_BYTES = RING_DAYS // 8


def fold_active_day(kept: ActiveDays, accounts: IntArray, day: int) -> IntArray:
    """Take in that accounts were active on a day inside the horizon; those for whom it is news."""
    bit = period_bits(day, day)
    word, mask = (kept.low, bit[0]) if bit[0] else (kept.high, bit[1])
    news = distinct(accounts[word[accounts] & mask == 0])
    word[news] |= mask
    first = kept.first[news]
    kept.first[news] = np.where((first == NEVER) | (first > day), day, first)
    kept.last[news] = np.maximum(kept.last[news], day)
    return news


def fade(kept: ActiveDays, running_day: int) -> None:
    """Take the day that leaves the horizon, as `running_day` begins, into the fading sum.

    Days leave in ascending order, each once: so the sum has the same bits in every run.
    """
    leaving = running_day - HORIZON_DAYS - 1
    active = any_bit(kept.low, kept.high, period_bits(leaving, leaving))
    kept.faded[active] += 2.0 ** (leaving / HALF_LIFE_DAYS)


def days_in(kept: ActiveDays, accounts: IntArray, first_day: int, last_day: int) -> FloatArray:
    """The number of active days from the first to the last day, both included. [account]"""
    low, high = period_bits(first_day, last_day)
    return count_bits(kept.low[accounts] & low, kept.high[accounts] & high).astype(np.float64)


def since_last(kept: ActiveDays, accounts: IntArray, running_days: IntArray | int) -> FloatArray:
    """Whole days since the last active one; none of the running day. NaN without one. [account]"""
    last = kept.last[accounts]
    return np.where(last == NEVER, np.nan, np.maximum(0, running_days - 1 - last))


def risk(kept: ActiveDays, accounts: IntArray, running_day: int, horizon_days: int) -> FloatArray:
    """Silence risk while a day runs; NaN without an active day, and for the young. [account]"""
    known = rhythmic(kept, accounts, running_day)
    at = accounts[known]
    silent_days = np.maximum(1, running_day - kept.last[at]).astype(np.float64)
    risks = np.full(len(accounts), np.nan)
    risks[known] = silence_risk(fading_count(kept, at, running_day), silent_days, horizon_days)
    return risks


def rhythmic(kept: ActiveDays, accounts: IntArray, running_days: IntArray | int) -> BoolArray:
    """Which accounts have a rhythm on their running day to be silent against. [account]"""
    first = kept.first[accounts]
    found: BoolArray = (first != NEVER) & (running_days - first >= YOUNG_DAYS)
    return found


def fading_count(kept: ActiveDays, accounts: IntArray, running_day: int) -> FloatArray:
    """Σ 2^(−age/120) over all active days, the age counted from the last one. [account]"""
    weights = _weights(running_day)
    total = np.zeros(len(accounts))
    for half, words in enumerate((kept.low[accounts], kept.high[accounts])):
        octets = np.ascontiguousarray(words.astype("<u8")).view(np.uint8).reshape(-1, 8)
        for at in range(8):
            total += weights[8 * half + at][octets[:, at]]
    last = kept.last[accounts]
    inside: FloatArray = total * np.exp2((running_day - last) / HALF_LIFE_DAYS)
    return inside + kept.faded[accounts] * np.exp2(-last / HALF_LIFE_DAYS)


@lru_cache(maxsize=4)
def _weights(running_day: int) -> FloatArray:
    """[byte of the ring, its value]: Σ 2^(−age/120) of its bits inside the horizon."""
    ages = (running_day - np.arange(RING_DAYS)) % RING_DAYS  # of the day at each place of the ring
    weights = np.where(ages <= HORIZON_DAYS, np.exp2(-ages / HALF_LIFE_DAYS), 0.0)
    values = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    table: FloatArray = weights.reshape(_BYTES, 8) @ values.T.astype(np.float64)
    return table


def turned(
    low: HashArray, high: HashArray, faded: FloatArray, from_day: int, to_day: int
) -> FloatArray:
    """The fading sums of accounts written while `from_day` ran, as of `to_day`."""
    sums = faded.copy()
    for leaving in range(from_day - HORIZON_DAYS, min(from_day, to_day - HORIZON_DAYS - 1) + 1):
        active = any_bit(low, high, period_bits(leaving, leaving))
        sums[active] += 2.0 ** (leaving / HALF_LIFE_DAYS)
    return sums
