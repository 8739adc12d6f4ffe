"""The health records that evaluations become, where they differ from the last publication."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from services.scoring.engine.effects import Effects
from services.scoring.engine.evaluate import Evaluation
from services.scoring.engine.plan import Plan, ScorecardPlan, same
from services.scoring.engine.state import NO_SCORE, SCORES_RING_DAYS, BoolArray, State
from services.scoring.engine.table import FloatArray, IntArray
from shared.events import (
    Cause,
    DimensionHealth,
    Driver,
    Health,
    Mode,
    Previous,
    ScorecardName,
    decode_health,
    encode,
)
from shared.times import iso_time


class _Shown(NamedTuple):
    """What a health record shows of an account, as plain numbers."""

    account: int
    card: ScorecardPlan
    tenths: int
    coverage: int  # hundredths
    values: list[float | None]  # [measure]
    scores: list[float | None]  # [measure]
    weights: list[float]  # [measure]
    contributions: list[int]  # [measure], hundredths
    dimension_scores: list[float | None]  # [dimension]
    dimension_weights: list[float]  # [dimension]
    time_parts: list[int]  # [column], hundredths
    change_7d: float | None
    change_28d: float | None


def publish(
    state: State, evaluation: Evaluation, as_of_ms: int, mode: Mode, effects: Effects
) -> None:
    """Publish what differs, in the order of the account ids."""
    accounts, as_of = state.accounts, iso_time(as_of_ms)
    rows = np.flatnonzero(differs(state, evaluation))
    if not len(rows):
        return
    for shown in sorted(
        _shown(state, evaluation, rows), key=lambda shown: accounts.ids[shown.account]
    ):
        record = accounts.published[shown.account] = encode(_health(state, shown, as_of, mode))
        effects.outbox.append((accounts.ids[shown.account].encode(), record))
    numbers = evaluation.accounts[rows]
    accounts.published_tenths[numbers] = evaluation.tenths[rows]
    accounts.published_coverage[numbers] = evaluation.coverage[rows]
    accounts.differs[numbers] = False
    accounts.late[numbers] = False
    state.time_parts[numbers] = 0
    effects.accounts.update(numbers.tolist())
    effects.health.update(numbers.tolist())
    effects.published += len(rows)


def differs(state: State, evaluation: Evaluation) -> BoolArray:
    """Which accounts' evaluations differ from their last publication. [row]"""
    accounts = state.accounts
    at = evaluation.accounts
    changed: BoolArray = (
        accounts.differs[at]
        | (evaluation.tenths != accounts.published_tenths[at])
        | (evaluation.coverage != accounts.published_coverage[at])
    )
    return changed


def _shown(state: State, evaluation: Evaluation, rows: IntArray) -> Iterator[_Shown]:
    """What is shown of each of the rows."""
    for number, (scores, places) in evaluation.by_card.items():
        own = rows[evaluation.cards[rows] == number]
        at, numbers, tenths = places[own], evaluation.accounts[own], evaluation.tenths[own]
        points = scores.scores[:, at]
        values = np.where(np.isnan(points), np.nan, scores.values[:, at])
        columns = (
            numbers.tolist(),
            [scores.card] * len(own),
            tenths.tolist(),
            evaluation.coverage[own].tolist(),
            _rounded(values, 1_000_000),
            _rounded(points, 10),
            _rounded(scores.weights[:, at], 10_000),
            scores.contributions[:, at].T.tolist(),
            _rounded(scores.dimension_scores[:, at], 10),
            _rounded(scores.dimension_weights[:, at], 10_000),
            state.time_parts[numbers].tolist(),
            _changes(state, numbers, tenths, 8),
            _changes(state, numbers, tenths, 29),
        )
        yield from map(_Shown._make, zip(*columns, strict=True))


def _rounded(numbers: FloatArray, parts: int) -> list[list[float | None]]:
    """[row][column] of [column, row], each a whole number of parts; None is unknown."""
    rounded = np.floor(numbers * parts + 0.5) / parts
    return [[None if each != each else each for each in row] for row in rounded.T.tolist()]


def _changes(
    state: State, numbers: IntArray, tenths: IntArray, days_back: int
) -> list[float | None]:
    """Each account's score minus that at the close of day r − days_back; None without one."""
    day = state.day - days_back
    then = state.accounts.closed_tenths[numbers, day % SCORES_RING_DAYS]
    was_there = day >= state.accounts.created_days[numbers]
    known = was_there & (tenths != NO_SCORE) & (then != NO_SCORE)
    changes = zip(known.tolist(), (tenths - then).tolist(), strict=True)
    return [change / 10 if is_known else None for is_known, change in changes]


def _health(state: State, shown: _Shown, as_of: str, mode: Mode) -> Health:
    assert state.plan is not None
    record = state.accounts.published[shown.account]
    before = decode_health(record) if record else None
    return Health(
        account_id=state.accounts.ids[shown.account],
        as_of=as_of,
        sequence=before.sequence + 1 if before else 1,
        score=None if shown.tenths == NO_SCORE else shown.tenths / 10,
        band=state.plan.band(shown.tenths),
        coverage=shown.coverage / 100,
        mode=mode,
        previous=Previous(before.score, before.band, before.as_of) if before else None,
        change_7d=shown.change_7d,
        change_28d=shown.change_28d,
        scorecard=ScorecardName(shown.card.id, state.plan.revision),
        dimensions=list(_dimensions(shown)),
        drivers=list(_drivers(state, shown, before)),
        profile=state.accounts.profiles[shown.account],
    )


def _dimensions(shown: _Shown) -> Iterator[DimensionHealth]:
    columns = shown.card.dimensions, shown.dimension_scores, shown.dimension_weights
    for identity, score, weight, rows in zip(*columns, shown.card.rows, strict=True):
        contribution = sum(shown.contributions[rows]) / 100
        yield DimensionHealth(identity, score, weight, contribution)


def _drivers(state: State, shown: _Shown, before: Health | None) -> Iterator[Driver]:
    """The scorecard's drivers in its order, then those that are gone from it."""
    assert state.plan is not None
    names, used = state.plan.names, shown.card.names
    columns = shown.values, shown.scores, shown.weights, shown.contributions
    if before is None:
        for name, value, score, weight, contribution in zip(used, *columns, strict=True):
            yield Driver(name, value, score, weight, contribution / 100, 0.0, "events")
        return
    earlier = {driver.measure: round(driver.contribution * 100) for driver in before.drivers}
    times = dict(zip(names, shown.time_parts, strict=True))
    causes = _Causes(state, shown, before)
    for name, value, score, weight, contribution in zip(used, *columns, strict=True):
        change = causes.of(name, contribution - earlier.get(name, 0), times[name])
        yield Driver(name, value, score, weight, contribution / 100, *change)
    for name, contribution in earlier.items():
        if contribution and name not in used:
            time = times.get(name, 0)
            yield Driver(name, None, None, 0.0, 0.0, *causes.of(name, -contribution, time))


class _Causes:
    """What changed an account's contributions since the last publication."""

    def __init__(self, state: State, shown: _Shown, before: Health) -> None:
        assert state.plan is not None
        self.plan: Plan = state.plan
        profile = state.accounts.profiles[shown.account]
        self.cause = "late" if state.accounts.late[shown.account] else "events"
        self.profile_cause = self.cause if same(before.profile, profile) else "profile"
        if before.scorecard != ScorecardName(shown.card.id, self.plan.revision):
            self.cause = self.profile_cause = "scorecard"

    def of(self, name: str, change: int, time: int) -> tuple[float, str, list[Cause]]:
        """A change in points, its cause, and its parts; given in hundredths."""
        if not change and not time:
            return 0.0, "events", []
        rest = change - time
        rest_cause = self.profile_cause if name in self.plan.reading_profiles else self.cause
        parts = ("time", time), (rest_cause, rest)
        causes = [Cause(cause, part / 100) for cause, part in parts if part]
        return change / 100, rest_cause if abs(rest) >= abs(time) else "time", causes
