"""Evaluations of accounts, and the health records that they become."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from services.scoring.engine.effects import Effects
from services.scoring.engine.measure import measure
from services.scoring.engine.plan import same
from services.scoring.engine.score import Scores, score
from services.scoring.engine.state import NO_SCORE, SCORES_RING_DAYS, BoolArray, State
from services.scoring.engine.table import IntArray
from shared.events import (
    Cause,
    DimensionHealth,
    Driver,
    Health,
    Mode,
    Previous,
    ScorecardName,
    encode,
)
from shared.times import iso_time


@dataclass
class Evaluation:
    """Some accounts evaluated on the running day."""

    accounts: IntArray  # [row]
    tenths: IntArray  # [row]
    coverage: IntArray  # [row], hundredths
    cards: IntArray  # [row]
    contributions: IntArray  # [row, column], hundredths
    by_card: dict[int, tuple[Scores, IntArray]]  # scores, and for each row its place in them


def evaluate(state: State, accounts: IntArray) -> Evaluation:
    """Evaluate accounts; changes nothing."""
    assert state.plan is not None
    values = measure(state, accounts)
    count = len(accounts)
    cards = state.accounts.cards[accounts]
    result = Evaluation(
        accounts,
        np.empty(count, np.int64),
        np.empty(count, np.int64),
        cards,
        np.zeros((count, len(state.plan.columns)), np.int64),
        {},
    )
    for number in np.unique(cards).tolist():
        rows = np.flatnonzero(cards == number)
        scores = score(state.plan.scorecards[number], values[:, rows])
        result.tenths[rows] = scores.tenths
        result.coverage[rows] = scores.coverage
        result.contributions[rows[:, None], scores.card.columns] = scores.contributions.T
        places = np.empty(count, np.int64)
        places[rows] = np.arange(len(rows))
        result.by_card[number] = (scores, places)
    return result


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


def publish(
    state: State, evaluation: Evaluation, as_of_ms: int, mode: Mode, effects: Effects
) -> None:
    """Publish what differs, in the order of the account ids."""
    accounts, as_of = state.accounts, iso_time(as_of_ms)
    rows = np.flatnonzero(differs(state, evaluation)).tolist()
    for row in sorted(rows, key=lambda row: accounts.ids[evaluation.accounts[row]]):
        account = int(evaluation.accounts[row])
        health = _health(state, evaluation, row, as_of, mode)
        accounts.published[account] = health
        accounts.published_tenths[account] = evaluation.tenths[row]
        accounts.published_coverage[account] = evaluation.coverage[row]
        accounts.differs[account] = False
        accounts.late[account] = False
        state.time_parts[account] = 0
        effects.accounts.add(account)
        effects.health.add(account)
        effects.outbox.append((health.account_id.encode(), encode(health)))
        effects.published += 1


def _health(state: State, evaluation: Evaluation, row: int, as_of: str, mode: Mode) -> Health:
    assert state.plan is not None
    account = int(evaluation.accounts[row])
    scores, places = evaluation.by_card[int(evaluation.cards[row])]
    place = int(places[row])
    before = state.accounts.published[account]
    tenths = int(evaluation.tenths[row])
    return Health(
        account_id=state.accounts.ids[account],
        as_of=as_of,
        sequence=before.sequence + 1 if before else 1,
        score=_points(tenths),
        band=state.plan.band(tenths),
        coverage=int(evaluation.coverage[row]) / 100,
        mode=mode,
        previous=Previous(before.score, before.band, before.as_of) if before else None,
        change_7d=_change(state, account, tenths, 8),
        change_28d=_change(state, account, tenths, 29),
        scorecard=ScorecardName(scores.card.id, state.plan.revision),
        dimensions=list(_dimensions(scores, place)),
        drivers=list(_Drivers(state, account, before).of(scores, place)),
        profile=state.accounts.profiles[account],
    )


def _points(tenths: int) -> float | None:
    return None if tenths == NO_SCORE else tenths / 10


def _change(state: State, account: int, tenths: int, days_back: int) -> float | None:
    """The score minus that at the close of day r − days_back."""
    day = state.day - days_back
    if tenths == NO_SCORE or day < state.accounts.created_days[account]:
        return None
    then = int(state.accounts.closed_tenths[account, day % SCORES_RING_DAYS])
    return None if then == NO_SCORE else (tenths - then) / 10


def _dimensions(scores: Scores, place: int) -> Iterator[DimensionHealth]:
    values = scores.dimension_scores[:, place].tolist()
    weights = scores.dimension_weights[:, place].tolist()
    contributions = scores.contributions[:, place].tolist()
    for row, identity in enumerate(scores.card.dimensions):
        yield DimensionHealth(
            id=identity,
            score=None if math.isnan(values[row]) else _rounded(values[row], 10),
            weight=_rounded(weights[row], 10_000),
            contribution=sum(contributions[scores.card.rows[row]]) / 100,
        )


def _rounded(value: float, parts: int) -> float:
    return math.floor(value * parts + 0.5) / parts


class _Drivers:
    """An account's drivers: contributions, and what changed them since the last publication."""

    def __init__(self, state: State, account: int, before: Health | None) -> None:
        assert state.plan is not None
        self.before = before
        self.shown = {
            driver.measure: round(driver.contribution * 100)
            for driver in (before.drivers if before else ())
        }
        self.plan = state.plan
        times = state.time_parts[account].tolist()
        self.time_parts = dict(zip(state.plan.names, times, strict=True))
        self.cause = "late" if state.accounts.late[account] else "events"
        profile = state.accounts.profiles[account]
        other = before is not None and not same(before.profile, profile)
        self.profile_cause = "profile" if other else self.cause

    def of(self, scores: Scores, place: int) -> Iterator[Driver]:
        """The scorecard's drivers in its order, then those that are gone from it."""
        if self.before and self.before.scorecard != ScorecardName(
            scores.card.id, self.plan.revision
        ):
            self.cause = self.profile_cause = "scorecard"
        used = [self.plan.names[column] for column in scores.card.columns.tolist()]
        measured = (scores.values, scores.scores, scores.contributions)
        columns = (array[:, place].tolist() for array in measured)
        for name, value, points, contribution in zip(used, *columns, strict=True):
            known = not math.isnan(points)
            yield self._driver(
                name,
                _rounded(value, 1_000_000) if known else None,
                _rounded(points, 10) if known else None,
                contribution,
            )
        for name, contribution in self.shown.items():
            if contribution and name not in used:
                yield self._driver(name, None, None, 0)

    def _driver(
        self, name: str, value: float | None, points: float | None, contribution: int
    ) -> Driver:
        change = contribution - self.shown.get(name, 0) if self.before else 0
        time = self.time_parts.get(name, 0) if self.before else 0
        reads_profile = name in self.plan.reading_profiles
        rest_cause = self.profile_cause if reads_profile else self.cause
        parts = [Cause("time", time / 100), Cause(rest_cause, (change - time) / 100)]
        causes = [part for part in parts if part.change]
        largest = max(reversed(causes), key=lambda part: abs(part.change), default=None)
        return Driver(
            measure=name,
            value=value,
            score=points,
            contribution=contribution / 100,
            change=change / 100,
            cause=largest.cause if largest else "events",
            causes=causes,
        )
