"""Milestones of onboardings that metrics will reach, if nothing happens any more."""

import numpy as np

from services.scoring.engine.forecast.silence import AHEAD_DAYS, Ahead, Silence
from services.scoring.engine.measure import values_of
from services.scoring.engine.success.state import NEVER
from services.scoring.engine.table import BoolArray, IntArray


def reach_milestones(silence: Silence) -> None:
    """Look up, close by close, which metrics will have the value of a milestone."""
    state = silence.state
    assert state.plan is not None
    plan = state.plan.success.onboarding
    if plan is None:
        return
    starts = state.success.start_days[silence.accounts]
    going = (starts != NEVER) & (starts < state.day + AHEAD_DAYS)
    rows = np.flatnonzero(going & (state.day <= starts + plan.last_days))
    columns = {one.column for one in plan.milestones if one.column is not None}
    if not len(rows) or not columns:
        return
    days = np.arange(1, AHEAD_DAYS + 1)
    ahead = Ahead(silence, np.repeat(rows, AHEAD_DAYS), np.tile(days, len(rows)))
    values = values_of(state.plan, ahead, state.plan.with_terms(columns))
    closed = state.day + days - 1
    during = closed >= starts[rows, None]
    during &= closed <= starts[rows, None] + plan.last_days
    for number, milestone in enumerate(plan.milestones):
        if milestone.column is not None:
            column = values[milestone.column].reshape(len(rows), AHEAD_DAYS)
            _reach(silence, rows, number, during & (column >= milestone.at_least))


def _reach(silence: Silence, rows: IntArray, number: int, at_closes: BoolArray) -> None:
    """Note the first close at which a metric has the value; `at_closes` is [row, day]."""
    reached = silence.reached[rows, number]
    will = (reached == NEVER) & at_closes.any(axis=1)
    first = silence.state.day + at_closes.argmax(axis=1)
    silence.reached[rows[will], number] = first[will]
