"""The values of all metrics, for some accounts at once."""

import numpy as np

from services.scoring.engine.numbers import MILLIONTHS
from services.scoring.engine.plan import Column, Window
from services.scoring.engine.state import (
    NEVER,
    RING_DAYS,
    DaySets,
    DaySums,
    LastDays,
    Latest,
    State,
)
from services.scoring.engine.table import FloatArray, IntArray


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
        now = _window(state, column.window, accounts)
        return _divide(now, _window(state, column.against, accounts)) - 1.0
    if column.kind == "since_last":
        return _since_last(state, column, accounts)
    if column.kind == "latest":
        return _latest(state, column, accounts)
    return _window(state, column.window, accounts)


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


def _window(state: State, number: int, accounts: IntArray) -> FloatArray:
    """Counts, sums or numbers of things in a window; unknown before the signal was collected."""
    assert state.plan is not None
    window = state.plan.windows[number]
    kept = state.signals[window.signal]
    if state.day - window.first < kept.since_day:
        return np.full(len(accounts), np.nan)
    if isinstance(kept, DaySets):
        return kept.counts[number][accounts].astype(np.float64)
    assert isinstance(kept, DaySums)
    total = _sum_days(state, window, kept, accounts)
    is_count = state.plan.signals[window.signal].property is None
    return total.astype(np.float64) if is_count else total / MILLIONTHS


def _sum_days(state: State, window: Window, kept: DaySums, accounts: IntArray) -> IntArray:
    slots = np.arange(state.day - window.first, state.day - window.last + 1) % RING_DAYS
    total: IntArray = kept.values[slots[:, None], accounts[None, :]].sum(axis=0)
    return total


def _since_last(state: State, column: Column, accounts: IntArray) -> FloatArray:
    kept = state.signals[column.signal]
    assert isinstance(kept, LastDays)
    days = kept.days[accounts]
    return np.where(days == NEVER, np.nan, np.maximum(0, state.day - 1 - days))


def _latest(state: State, column: Column, accounts: IntArray) -> FloatArray:
    kept = state.signals[column.signal]
    assert isinstance(kept, Latest)
    values = kept.values[accounts]
    if column.expires_days:
        return np.where(kept.days[accounts] < state.day - column.expires_days, np.nan, values)
    return values
