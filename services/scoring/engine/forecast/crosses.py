"""The day on which an account will enter a lower band if it stays silent."""

from typing import NamedTuple

import numpy as np

from services.scoring.engine.forecast.falling import can_only_fall
from services.scoring.engine.forecast.onboarding import reach_milestones
from services.scoring.engine.forecast.scores import cards_ahead, scores_ahead
from services.scoring.engine.forecast.silence import AHEAD_DAYS, Ahead, Silence
from services.scoring.engine.published import NO_CROSSING
from services.scoring.engine.state import NEVER, State
from services.scoring.engine.table import BoolArray, IntArray

CHUNK_ACCOUNTS = 2048
"""So many accounts are looked ahead for at a time: their tables stay in the cache."""

BLOCKS = (1, 3, 8, 16, 32, 60)
"""So many days are looked at together, of accounts that have not crossed before."""

TOGETHER = 512
"""So many days of accounts are looked at together, where days that only fall are divided."""

NEVER_AHEAD = AHEAD_DAYS + 1
_ROUNDING = 1e-6
"""Far more than what rounding can make of a score that only falls, in tenths."""


class Crossings(NamedTuple):
    """The closes at which accounts enter a lower band, and which; NO_CROSSING where they do not."""

    days: IntArray  # [row]
    bands: IntArray  # [row], number in Plan.bands


def crossings(state: State, accounts: IntArray, tenths: IntArray) -> Crossings:
    """What `foresee` says of accounts that are published with these scores.

    The day that was published of an account stays the same while nothing happens to it; so only the
    others are looked ahead for.
    """
    assert state.plan is not None
    published, bands = state.published, state.plan.band_numbers
    days, lower = published.crossing_days[accounts], published.crossing_bands[accounts]
    stays = (days >= state.day) & ~state.accounts.news[accounts] & ~state.accounts.stale[accounts]
    stays &= (tenths >= 0) & (published.tenths[accounts] >= 0)
    stays &= bands[tenths] == bands[published.tenths[accounts]]
    others = np.flatnonzero(~stays)
    found = foresee(state, accounts[others], tenths[others])
    days[others], lower[others] = found.days, found.bands
    return Crossings(days, lower)


def have_passed(state: State, accounts: IntArray) -> BoolArray:
    """Of which accounts the day that was published has passed. [row]"""
    days = state.published.crossing_days[accounts]
    passed: BoolArray = (days != NO_CROSSING) & (days < state.day)
    return passed


def foresee(state: State, accounts: IntArray, tenths: IntArray) -> Crossings:
    """The first close at which each account is in a lower band than at its score in tenths.

    `accounts` ascend. Nothing happens to them from now on, and their sources go on; so of one that
    is held for a stale source nothing is said. Closes of the next 120 days are looked at.
    """
    assert state.plan is not None
    nothing = np.full(len(accounts), NO_CROSSING)
    found = Crossings(nothing, nothing.copy())
    bands = state.plan.band_numbers[tenths]
    may = (tenths >= 0) & (bands < len(state.plan.bands) - 1) & ~state.accounts.stale[accounts]
    rows = np.flatnonzero(may)
    for start in range(0, len(rows), CHUNK_ACCOUNTS):
        some = rows[start : start + CHUNK_ACCOUNTS]
        silence = Silence(state, accounts[some])
        reach_milestones(silence)
        ahead, lower = _look(silence, bands[some])
        crossed = ahead <= AHEAD_DAYS
        found.days[some[crossed]] = state.day + ahead[crossed] - 1
        found.bands[some[crossed]] = lower[crossed]
    return found


def _look(silence: Silence, bands: IntArray) -> tuple[IntArray, IntArray]:
    """How many days ahead each account has first crossed, and into which band. [row]"""
    first = _overridden_until(silence)
    first = np.maximum(first, _divided(silence, first, bands))
    lower = np.full(len(first), NEVER)
    open_ = np.flatnonzero(first <= AHEAD_DAYS)
    for width in BLOCKS:
        if not len(open_):
            break
        days = first[open_, None] + np.arange(width)
        inside = days <= AHEAD_DAYS
        rows = np.repeat(open_, width).reshape(inside.shape)
        numbers = np.full(inside.shape, NEVER)
        numbers[inside] = _bands(Ahead(silence, rows[inside], days[inside]))
        crossed = numbers > bands[open_, None]
        any_, place = crossed.any(axis=1), crossed.argmax(axis=1)
        first[open_] += np.where(any_, place, width)
        lower[open_[any_]] = numbers[any_, place[any_]]
        open_ = open_[~any_ & (first[open_] <= AHEAD_DAYS)]
    return first, lower


def _bands(ahead: Ahead) -> IntArray:
    """The number of each one's band without an override; NEVER without a score."""
    plan = ahead.silence.state.plan
    assert plan is not None
    tenths = np.full(len(ahead), NEVER)
    for rows, scores in scores_ahead(ahead, cards_ahead(ahead)):
        tenths[rows] = scores.tenths
    return np.where(tenths < 0, NEVER, plan.band_numbers[tenths])


def _overridden_until(silence: Silence) -> IntArray:
    """How many days ahead is the first close at which each account is not overridden. [row]"""
    state = silence.state
    assert state.plan is not None
    first = np.ones(len(silence.accounts), np.int64)
    in_force = state.accounts.overrides
    if in_force:
        midnights = state.plan.calendar.midnights_ms[state.day + 1 :]
        for row, account in enumerate(silence.accounts.tolist()):
            if account in in_force:
                ends = np.searchsorted(midnights, in_force[account].expires_ms)
                first[row] = min(int(ends) + 1, NEVER_AHEAD)
    return first


def _divided(silence: Silence, first: IntArray, bands: IntArray) -> IntArray:
    """Days ahead before which no account has crossed, of those that can only fall. [row]"""
    state = silence.state
    assert state.plan is not None
    cards = state.accounts.cards[silence.accounts]
    least = state.plan.least_tenths[bands]
    found = first.copy()
    steady = (cards == cards[:, :1]).all(axis=1)
    steady |= state.success.start_days[silence.accounts] == NEVER
    steady &= first <= AHEAD_DAYS
    for number in np.unique(cards[steady, 0]).tolist():
        rows = np.flatnonzero(steady & (cards[:, 0] == number))
        card = state.plan.scorecards[number]
        rows = rows[can_only_fall(silence, rows, card)]
        low, high = first[rows], np.full(len(rows), NEVER_AHEAD)
        while len(open_ := np.flatnonzero(low < high)):
            span = high[open_] - low[open_]
            count = min(int(span.max()), max(1, TOGETHER // len(open_)))
            parts = np.arange(1, count + 1)[:, None]
            days = np.minimum(low[open_] + span * parts // (len(parts) + 1), high[open_] - 1)
            ahead = Ahead(silence, np.tile(rows[open_], len(parts)), days.ravel())
            ((_, scores),) = scores_ahead(ahead, np.full(len(ahead), number))
            tenths = scores.raw.reshape(days.shape) * 10 + 0.5
            below = tenths < least[rows[open_]] + _ROUNDING
            high[open_] = np.where(below, days, high[open_]).min(axis=0)
            low[open_] = np.where(below, low[open_], days + 1).max(axis=0)
        found[rows] = low
    return found
