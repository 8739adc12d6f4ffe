"""Which accounts' scores can only fall in silence, whatever their values are.

It is proven measure by measure: what a window counts cannot grow, the days since the last event
and the risk of silence cannot shrink, an open ticket stays open. Then the first day below a limit
can be found by dividing; of all others every day has to be looked at.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from services.scoring.engine.forecast.silence import AHEAD_DAYS, Ahead, Silence
from services.scoring.engine.measure import values_of
from services.scoring.engine.plan import Column
from services.scoring.engine.plan_scorecards import Curves, RulePlan, ScorecardPlan
from services.scoring.engine.score import inside
from services.scoring.engine.silence import YOUNG_DAYS
from services.scoring.engine.state import NEVER, ActiveDays, Latest, OpenKeys, State
from services.scoring.engine.sums import DaySums
from services.scoring.engine.table import BoolArray, FloatArray, IntArray
from shared.configuration import HORIZON_DAYS


class Moves(NamedTuple):
    """Whether a value may rise, or fall, in silence; one that may become known or not does both."""

    rises: BoolArray  # [row]
    falls: BoolArray  # [row]

    @property
    def stays(self) -> BoolArray:
        """Whether it does neither."""
        return ~(self.rises | self.falls)


def can_only_fall(silence: Silence, rows: IntArray, card: ScorecardPlan) -> BoolArray:
    """Which of some accounts, all of one scorecard, have scores that never rise. [row]"""
    state = silence.state
    plan = state.plan
    assert plan is not None
    ahead = Ahead(silence, rows, np.ones(len(rows), np.int64))
    columns = plan.columns_of(card)
    values = values_of(plan, ahead, columns)
    moves: dict[int, Moves] = {}
    for number in columns:
        moves[number] = _moves(ahead, plan.columns[number], values, moves)
    falling = np.ones(len(rows), bool)
    rising_curves, falling_curves = _directions(card.curves)
    for measure, column in enumerate(card.columns.tolist()):
        way = moves[column]
        falling &= (rising_curves[measure] & ~way.rises) | (falling_curves[measure] & ~way.falls)
    if card.gate is not None:
        falling &= ~moves[card.gate.column].falls
    conditions = state.profile_matches[:, ahead.accounts]
    for rule in card.rules:
        falling &= _holds(rule, values, moves, conditions)
    return falling


def _directions(curves: Curves) -> tuple[BoolArray, BoolArray]:
    """Whose curves never fall, and whose never rise. [measure]"""
    segments = curves.starts.shape[1]
    last = np.isfinite(curves.starts).sum(axis=1) - 1
    places = np.minimum(np.arange(segments), last[:, None])
    heights = np.diff(np.take_along_axis(curves.heights, places, axis=1), axis=1)
    return np.all(heights >= 0, axis=1), np.all(heights <= 0, axis=1)


def _holds(
    rule: RulePlan, values: FloatArray, moves: Mapping[int, Moves], conditions: BoolArray
) -> BoolArray:
    """Where a rule matches on all days, or on none. [row]"""
    never = np.zeros(values.shape[1], bool)
    steady = np.ones(values.shape[1], bool)
    for condition in rule.conditions:
        never |= ~conditions[condition]
    for column, bounds in rule.bounds:
        stays = moves[column].stays
        never |= stays & ~inside(bounds, values[column])
        steady &= stays
    return never | steady


def _moves(ahead: Ahead, column: Column, values: FloatArray, moves: Mapping[int, Moves]) -> Moves:
    state, no = ahead.silence.state, np.zeros(len(ahead), bool)
    if column.kind == "ratio":
        return _of_ratio(ahead, column, values, moves)
    if column.kind in ("change", "rate"):
        empty = _is_empty(ahead, column.signal)
        return Moves(~empty, ~empty)
    if column.window >= 0:
        return _of_window(ahead, column)
    if column.kind == "since_last":
        return Moves(~no, no)
    kept = state.signals[column.signal] if column.signal >= 0 else None
    if isinstance(kept, OpenKeys):
        return Moves(no, no)
    if isinstance(kept, Latest):
        expires = _expires(kept, column, ahead.accounts, state.day)
        return Moves(expires, expires)
    if column.kind == "silence_risk":
        assert isinstance(kept, ActiveDays)
        first = kept.first[ahead.accounts]
        young = (first != NEVER) & (state.day + 1 - first < YOUNG_DAYS)
        return Moves(~no, young)
    return Moves(~no, ~no)


def _expires(kept: Latest, column: Column, accounts: IntArray, day: int) -> BoolArray:
    """Which values are known tomorrow, and not on the last day that is looked at."""
    days = kept.days[accounts] + column.expires_days
    expires: BoolArray = (days >= day + 1) & (days < day + AHEAD_DAYS)
    return expires & bool(column.expires_days)


def _of_ratio(
    ahead: Ahead, column: Column, values: FloatArray, moves: Mapping[int, Moves]
) -> Moves:
    """It moves as what is divided, if what it is divided by stays as it is."""
    no = np.zeros(len(ahead), bool)
    above, below = (
        moves[term] if isinstance(term, int) else Moves(no, no) for term in column.terms
    )
    divisor = column.terms[1]
    sign = values[divisor] if isinstance(divisor, int) else ahead.profile_number(divisor)
    rises = np.where(sign > 0, above.rises, (sign < 0) & above.falls)
    falls = np.where(sign > 0, above.falls, (sign < 0) & above.rises)
    return Moves(rises | ~below.stays, falls | ~below.stays)


def _of_window(ahead: Ahead, column: Column) -> Moves:
    """What a window counts goes out of it day by day; a sum may lose what is below 0."""
    silence, no = ahead.silence, np.zeros(len(ahead), bool)
    state: State = silence.state
    assert state.plan is not None
    window = state.plan.windows[column.window]
    kept = state.signals[window.signal]
    if state.day + 1 - window.first < kept.since_day:
        return Moves(~no, ~no)
    if isinstance(kept, DaySums) and state.plan.signals[window.signal].property is not None:
        until = silence.table("sums", window.signal, silence.sums_until)
        negative: BoolArray = np.any(np.diff(until, axis=0) < 0, axis=0)
        return Moves(negative[ahead.rows], ~no)
    return Moves(no, ~no)


def _is_empty(ahead: Ahead, signal: int) -> BoolArray:
    """Which accounts have nothing of a signal inside the horizon. [row]"""
    silence = ahead.silence
    kept = silence.state.signals[signal]
    if isinstance(kept, DaySums):
        until: IntArray = silence.table("sums", signal, silence.sums_until)
        has_any: BoolArray = np.any(until, axis=0)
        return ~has_any[ahead.rows]
    if isinstance(kept, ActiveDays):
        oldest = silence.state.day - HORIZON_DAYS
        empty: BoolArray = kept.last[ahead.accounts] < oldest
        return empty
    return np.zeros(len(ahead), bool)
