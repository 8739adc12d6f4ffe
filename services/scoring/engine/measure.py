"""The values of all metrics, for some accounts at once."""

import numpy as np

from services.scoring.engine.active_days import days_in, risk, since_last
from services.scoring.engine.numbers import MILLIONTHS
from services.scoring.engine.plan import Column
from services.scoring.engine.state import (
    ActiveDays,
    DaySets,
    Latest,
    OpenKeys,
    State,
)
from services.scoring.engine.success.onboarding import standing
from services.scoring.engine.sums import DaySums
from services.scoring.engine.table import FloatArray, IntArray
from services.scoring.engine.users.ranks import ranked_users
from services.scoring.engine.users.state import UserDays


def measure(state: State, accounts: IntArray) -> FloatArray:
    """[column, account]: each metric's value for the running day; NaN is unknown."""
    assert state.plan is not None
    values = np.empty((len(state.plan.columns), len(accounts)))
    for row, column in enumerate(state.plan.columns):
        values[row] = _value(state, column, accounts, values)
    return values


def _value(state: State, column: Column, accounts: IntArray, values: FloatArray) -> FloatArray:
    if column.kind == "ratio":
        above, below = (_term(state, term, accounts, values) for term in column.terms)
        return _divide(above, below)
    if column.kind == "change":
        now = in_window(state, column.window, accounts)
        return _divide(now, in_window(state, column.against, accounts)) - 1.0
    if column.kind == "rate":
        now = in_window(state, column.window, accounts) / column.lengths[0]
        return _divide(now, in_window(state, column.against, accounts) / column.lengths[1])
    if column.window >= 0:
        return in_window(state, column.window, accounts) * column.scale
    return _of_signal(state, column, accounts)


def _of_signal(state: State, column: Column, accounts: IntArray) -> FloatArray:
    """What has no window."""
    if column.kind == "ranked_users":
        return ranked_users(state, column.lowest, accounts)
    if column.kind == "onboarding":
        return standing(state, accounts).scores
    kept = state.signals[column.signal]
    if isinstance(kept, OpenKeys):
        return kept.counts[accounts].astype(np.float64)
    if isinstance(kept, Latest):
        return _latest(state, kept, column, accounts)
    assert isinstance(kept, ActiveDays)
    if column.kind == "silence_risk":
        return risk(kept, accounts, state.day, column.horizon_days)
    return since_last(kept, accounts, state.day)


def _divide(above: FloatArray, below: FloatArray) -> FloatArray:
    known = ~np.isnan(above) & ~np.isnan(below) & (below != 0)
    quotient = np.full(len(above), np.nan)
    np.divide(above, below, out=quotient, where=known)
    return quotient


def _term(state: State, term: int | str, accounts: IntArray, values: FloatArray) -> FloatArray:
    assert state.plan is not None
    numbers: FloatArray
    if isinstance(term, int):
        numbers = values[term]
    else:
        numbers = state.profile_numbers[state.plan.profile_numbers.index(term), accounts]
    return numbers


def in_window(state: State, number: int, accounts: IntArray) -> FloatArray:
    """Counts, sums or numbers of things in a window; unknown before the signal was collected."""
    assert state.plan is not None
    window = state.plan.windows[number]
    kept = state.signals[window.signal]
    if state.day - window.first < kept.since_day:
        return np.full(len(accounts), np.nan)
    if isinstance(kept, DaySets | UserDays):
        return kept.counts[number][accounts].astype(np.float64)
    if isinstance(kept, ActiveDays):
        return days_in(kept, accounts, state.day - window.first, state.day - window.last)
    assert isinstance(kept, DaySums)
    total = kept.totals[number][accounts]
    if window.last == 0:
        total += kept.running[accounts]
    is_count = state.plan.signals[window.signal].property is None
    return total.astype(np.float64) if is_count else total / MILLIONTHS


def _latest(state: State, kept: Latest, column: Column, accounts: IntArray) -> FloatArray:
    values = kept.values[accounts]
    if column.expires_days:
        return np.where(kept.days[accounts] < state.day - column.expires_days, np.nan, values)
    return values
