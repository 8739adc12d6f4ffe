"""The values of all metrics, for some accounts at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from services.scoring.engine.active_days import days_in, risk, since_last
from services.scoring.engine.numbers import MILLIONTHS
from services.scoring.engine.plan import Column, Plan
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


class Readings(Protocol):
    """What metrics are made of, for some accounts, each on a day. All arrays are [row]."""

    def __len__(self) -> int: ...

    def in_window(self, number: int) -> FloatArray:
        """Counts, sums or numbers of things in a window; NaN before the signal was collected."""

    def without_window(self, column: Column) -> FloatArray:
        """The value of a metric that has no window."""

    def profile_number(self, field: str) -> FloatArray:
        """A field of the profiles as a number; NaN where it is none."""


def measure(state: State, accounts: IntArray) -> FloatArray:
    """[column, account]: each metric's value for the running day; NaN is unknown."""
    assert state.plan is not None
    return values_of(state.plan, Running(state, accounts), range(len(state.plan.columns)))


def values_of(plan: Plan, readings: Readings, columns: Iterable[int]) -> FloatArray:
    """[column, row]: the values of some metrics, ascending, with those that they are made of.

    NaN is unknown, and stands for the others.
    """
    values = np.full((len(plan.columns), len(readings)), np.nan)
    for number in columns:
        values[number] = _value(readings, plan.columns[number], values)
    return values


def _value(readings: Readings, column: Column, values: FloatArray) -> FloatArray:
    if column.kind == "ratio":
        above, below = (
            values[term] if isinstance(term, int) else readings.profile_number(term)
            for term in column.terms
        )
        return _divide(above, below)
    if column.kind == "change":
        now = readings.in_window(column.window)
        return _divide(now, readings.in_window(column.against)) - 1.0
    if column.kind == "rate":
        now = readings.in_window(column.window) / column.lengths[0]
        return _divide(now, readings.in_window(column.against) / column.lengths[1])
    if column.window >= 0:
        return readings.in_window(column.window) * column.scale
    return readings.without_window(column)


@dataclass(frozen=True)
class Running:
    """Accounts on the running day."""

    state: State
    accounts: IntArray

    def __len__(self) -> int:
        return len(self.accounts)

    def in_window(self, number: int) -> FloatArray:
        """Counts, sums or numbers of things in a window."""
        return in_window(self.state, number, self.accounts)

    def without_window(self, column: Column) -> FloatArray:
        """The value of a metric that has no window."""
        state, accounts = self.state, self.accounts
        if column.kind == "ranked_users":
            return ranked_users(state, column.lowest, accounts)
        if column.kind == "onboarding":
            return standing(state, accounts).scores
        kept = state.signals[column.signal]
        if isinstance(kept, OpenKeys):
            return kept.counts[accounts].astype(np.float64)
        if isinstance(kept, Latest):
            return unexpired(kept, column, accounts, state.day)
        assert isinstance(kept, ActiveDays)
        if column.kind == "silence_risk":
            return risk(kept, accounts, state.day, column.horizon_days)
        return since_last(kept, accounts, state.day)

    def profile_number(self, field: str) -> FloatArray:
        """A field of the profiles as a number."""
        return profile_number(self.state, field, self.accounts)


def _divide(above: FloatArray, below: FloatArray) -> FloatArray:
    known = ~np.isnan(above) & ~np.isnan(below) & (below != 0)
    quotient = np.full(len(above), np.nan)
    np.divide(above, below, out=quotient, where=known)
    return quotient


def profile_number(state: State, field: str, accounts: IntArray) -> FloatArray:
    """A field of the profiles as a number; NaN where it is none. [account]"""
    assert state.plan is not None
    numbers: FloatArray = state.profile_numbers[state.plan.profile_numbers.index(field), accounts]
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


def unexpired(
    kept: Latest, column: Column, accounts: IntArray, running_days: IntArray | int
) -> FloatArray:
    """The newest values on each account's running day; NaN where they have expired. [account]"""
    values = kept.values[accounts]
    if column.expires_days:
        return np.where(kept.days[accounts] < running_days - column.expires_days, np.nan, values)
    return values
