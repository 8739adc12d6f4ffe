"""Why a score is what it is, and why it changed: drivers and dimensions that add up exactly."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from services.scoring.engine.evaluate import PARTS_PER_POINT, overrides, score_all
from services.scoring.engine.plan import Plan, same
from services.scoring.engine.plan_scorecards import OVERRIDE, ScorecardPlan
from services.scoring.engine.score import NO_RULE, Scores, contributions, gate_takes
from services.scoring.engine.state import State
from services.scoring.engine.table import FloatArray, IntArray
from shared.events import Cause, DimensionHealth, Driver

PARTS_PER_HUNDREDTH = PARTS_PER_POINT // 100
UNCHANGED: tuple[float, str, list[Cause]] = 0.0, "events", []


class Explained(NamedTuple):
    """What a health record says of an account beside its score."""

    row: int
    shares: IntArray  # [part], hundredths of a point: what the drivers contribute
    silence_risk: float | None
    dimensions: list[DimensionHealth]
    drivers: list[Driver]


def explain(state: State, accounts: IntArray, cards: IntArray) -> Iterator[Explained]:
    """The drivers and dimensions of accounts, given in ascending order; each names its row.

    `cards` are their scorecards. They are measured anew: few of those that were evaluated are
    published, and to keep what was measured of a million would take more than all scores.
    """
    assert state.plan is not None
    for rows, scores in score_all(state, accounts, cards):
        numbers = accounts[rows]
        shares = _shares(state, numbers, scores)
        risks = [None] * len(numbers)
        if state.plan.silence_column is not None:
            risks = _rounded(scores.values[state.plan.silence_column], 10_000)
        columns = (
            rows.tolist(),
            shares.T,
            risks,
            _dimensions(scores, shares),
            _drivers(state, numbers, scores, shares),
        )
        for row, own, risk, dimensions, drivers in zip(*columns, strict=True):
            card_dimensions = dimensions + _others(scores.card, drivers)
            yield Explained(row, own, risk, card_dimensions, drivers)


def _shares(state: State, numbers: IntArray, scores: Scores) -> IntArray:
    """[part, account]: what each part contributes, in hundredths of a point."""
    assert state.plan is not None
    shares = np.zeros((len(state.plan.parts), len(numbers)), np.int64)
    own = contributions(scores)
    parts = scores.card.parts
    shares[parts] = own[: len(parts)]
    if scores.card.rules:
        matched = np.flatnonzero(scores.rules != NO_RULE)
        places = np.array([rule.part for rule in scores.card.rules])[scores.rules[matched]]
        shares[places, matched] = own[-1, matched]
    overridden, tenths = overrides(state, numbers)
    shares[-1, overridden] = 10 * (tenths - np.maximum(0, scores.tenths[overridden]))
    return shares


def _rounded(numbers: FloatArray, per_unit: int) -> Any:
    """Whole numbers of parts of a unit, by account first; NaN, which is written as null, stays."""
    return (np.floor(numbers * per_unit + 0.5) / per_unit).T.tolist()


def _dimensions(scores: Scores, shares: IntArray) -> Iterator[list[DimensionHealth]]:
    """[account]: the scorecard's own dimensions."""
    card = scores.card
    own = np.add.reduceat(shares[card.columns], [rows.start for rows in card.rows], axis=0)
    points, weights = _rounded(scores.dimension_points, 10), scores.dimension_weights
    for numbers in zip(points, _rounded(weights, 10_000), (own / 100).T.tolist(), strict=True):
        yield list(map(DimensionHealth, card.dimensions, *numbers))


def _others(card: ScorecardPlan, drivers: list[Driver]) -> list[DimensionHealth]:
    """What is beside the scorecard's dimensions: its gate, a rule that applies, an override."""
    found = []
    at = len(card.names)
    if card.gate is not None:
        found.append(DimensionHealth("gate", drivers[at].score, 0.0, drivers[at].contribution))
        at += 1
    for driver in drivers[at:]:
        if driver.reason is not None:
            identity = OVERRIDE if driver.measure == OVERRIDE else "rule"
            found.append(DimensionHealth(identity, None, 0.0, driver.contribution))
    return found


def _drivers(
    state: State, numbers: IntArray, scores: Scores, shares: IntArray
) -> Iterator[list[Driver]]:
    """[account]: measures, gate, rule and override, then what is gone since the last record."""
    assert state.plan is not None
    plan, card = state.plan, scores.card
    parts = card.parts.tolist()
    names = [plan.parts[part] for part in parts]
    values, points, weights = scores.values[card.parts], scores.points, scores.weights
    if card.gate is not None:
        points = np.vstack([points, 100.0 * (1.0 - gate_takes(card, values[-1]))])
        weights = np.vstack([weights, np.zeros(len(numbers))])
    changes = _Changes(state, numbers, shares, card)
    columns = (
        _rounded(values, 1_000_000),
        _rounded(points, 10),
        _rounded(weights, 10_000),
        (shares[card.parts] / 100).T.tolist(),
    )
    overrides = state.accounts.overrides
    for at, (account, rule, *numeric) in enumerate(
        zip(numbers.tolist(), scores.rules.tolist(), *columns, strict=True)
    ):
        causes = changes.of(at)
        drivers = [
            Driver(name, value, score, weight, contribution, *causes.part(part))
            for name, part, value, score, weight, contribution in zip(
                names, parts, *numeric, strict=True
            )
        ]
        others = [] if rule == NO_RULE else [(card.rules[rule].part, card.rules[rule].reason)]
        if account in overrides:
            others.append((len(plan.parts) - 1, overrides[account].reason))
        for part, reason in others:
            share, change = int(shares[part, at]) / 100, causes.part(part)
            drivers.append(Driver(plan.parts[part], None, None, 0.0, share, *change, reason))
        if causes.may_be_gone:
            drivers += causes.gone({*parts, *(part for part, _ in others)})
        yield drivers


class _Changes:
    """What changed the contributions of some accounts since their last publications."""

    def __init__(
        self, state: State, numbers: IntArray, shares: IntArray, card: ScorecardPlan
    ) -> None:
        assert state.plan is not None
        self.state, self.plan, self.card, self.numbers = state, state.plan, card, numbers.tolist()
        self.before = state.published.shares[:, numbers].astype(np.int64)
        change = shares - self.before
        time = (state.time_parts[:, numbers] + PARTS_PER_HUNDREDTH // 2) // PARTS_PER_HUNDREDTH
        time = np.where(state.accounts.news[numbers], time, change)
        is_first = state.published.sequences[numbers] == 0
        change[:, is_first] = time[:, is_first] = 0
        time[-1] = 0
        own = np.isin(np.arange(len(shares)), card.parts)
        self.elsewhere = np.any(self.before[~own], axis=0).tolist()
        self.change, self.time = change.T.tolist(), time.T.tolist()

    def of(self, at: int) -> "_Causes":
        """Those of one account."""
        account = self.numbers[at]
        gone = self.state.published.gone.get(account, {})
        before = self.before[:, at].tolist() if self.elsewhere[at] else []
        causes = _rest_causes(self.state, account, self.card)
        return _Causes(self.plan, self.change[at], self.time[at], before, gone, causes)


class _RestCauses(NamedTuple):
    """What is behind a change, time apart, of most parts and of those that read a profile field."""

    most: str
    reading_profile: str
    reading: frozenset[int]


def _rest_causes(state: State, account: int, card: ScorecardPlan) -> _RestCauses:
    assert state.plan is not None
    accounts, before = state.accounts, state.published
    most = profile = "late" if accounts.late[account] else "events"
    if before.sequences[account]:
        heading = before.heading(account)
        old, new = before.profiles[account], accounts.profiles[account]
        if old is not new and not same(old, new):
            profile = "profile"
        if (heading.scorecard, heading.revision) != (card.id, state.plan.revision):
            most = profile = "scorecard"
    if accounts.backfilled[account]:
        most = profile = "scorecard"
    return _RestCauses(most, profile, card.reading_profiles)


class _Causes(NamedTuple):
    """The changes of one account's contributions, in hundredths, by part."""

    plan: Plan
    change: list[int]
    time: list[int]
    before: list[int]  # none at all if only the scorecard's own parts contributed
    gone_names: dict[str, int]
    causes: _RestCauses

    @property
    def may_be_gone(self) -> bool:
        """Whether something contributed that is no part of the scorecard."""
        return bool(self.before or self.gone_names)

    def part(self, part: int) -> tuple[float, str, list[Cause]]:
        """A change in points, its cause, and its parts."""
        change, time = self.change[part], self.time[part]
        if not change and not time:
            return UNCHANGED
        cause = self.causes.most
        if part == len(self.plan.parts) - 1:
            cause = OVERRIDE
        elif part in self.causes.reading:
            cause = self.causes.reading_profile
        return _change(change, time, cause)

    def gone(self, shown: set[int]) -> list[Driver]:
        """Drivers that were in the last record and are not in this one, by their names."""
        found = [
            (self.plan.parts[part], self.part(part))
            for part, share in enumerate(self.before)
            if share and part not in shown
        ]
        found += [
            (name, _change(-share, 0, self.causes.most)) for name, share in self.gone_names.items()
        ]
        return [Driver(name, None, None, 0.0, 0.0, *change) for name, change in sorted(found)]


def _change(change: int, time: int, rest_cause: str) -> tuple[float, str, list[Cause]]:
    rest = change - time
    parts = ("time", time), (rest_cause, rest)
    causes = [Cause(cause, part / 100) for cause, part in parts if part]
    return change / 100, rest_cause if abs(rest) >= abs(time) else "time", causes
