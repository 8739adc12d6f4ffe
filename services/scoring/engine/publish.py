"""The health records that evaluations become, where they differ from the last publication."""

from operator import itemgetter

import numpy as np

from services.scoring.engine.calendar import iso_day
from services.scoring.engine.effects import Effects, HealthRow
from services.scoring.engine.evaluate import Evaluation
from services.scoring.engine.explain import Explained, explain
from services.scoring.engine.forecast.crosses import crossings, have_passed
from services.scoring.engine.published import NO_CROSSING, Heading, Override
from services.scoring.engine.score import BUILDING, NO_SCORE
from services.scoring.engine.state import SCORES_RING_DAYS, State
from services.scoring.engine.success import publication
from services.scoring.engine.table import BoolArray, IntArray
from services.scoring.engine.users.ranks import at_each_rank
from shared.events import Crossing, Health, Mode, OverrideHealth, Previous, ScorecardName
from shared.times import iso_time


def publish(
    state: State, evaluation: Evaluation, as_of_ms: int, mode: Mode, effects: Effects
) -> None:
    """Publish what differs, in the order of the account ids."""
    publication.find_signals(state, evaluation, effects)
    rows, start = np.flatnonzero(differs(state, evaluation)), len(effects.outbox)
    while len(rows):
        _publish(state, evaluation, rows, (as_of_ms, mode), effects)
        rows = rows[publication.has_more(state, evaluation.accounts[rows])]
    effects.outbox[start:] = sorted(effects.outbox[start:], key=itemgetter(0))


def _publish(
    state: State, evaluation: Evaluation, rows: IntArray, when: tuple[int, Mode], effects: Effects
) -> None:
    """Publish one record of each of the rows."""
    accounts, published = state.accounts, state.published
    as_of_ms, mode = when
    numbers, cards = evaluation.accounts[rows], evaluation.cards[rows]
    headings = headings_of(state, cards, evaluation.tenths[rows])
    shown = _Shown(state, evaluation, rows, headings, iso_time(as_of_ms), mode)
    shares = np.empty((len(rows), len(published.shares)), np.int16)
    for explained in explain(state, numbers, cards):
        shares[explained.row] = explained.shares
        own = shown.health(explained)
        place = int(rows[explained.row])
        health, record = publication.complete(state, evaluation, place, own, effects)
        effects.outbox.append((health.account_id.encode(), record))
        effects.health[shown.accounts[explained.row]] = HealthRow(
            record,
            health.sequence,
            health.score,
            health.band,
            health.change_7d,
            health.change_28d,
            health.profile,
        )
    published.shares[:, numbers] = shares.T
    published.as_of_ms[numbers] = as_of_ms
    published.headings[numbers] = headings
    published.crossing_days[numbers], published.crossing_bands[numbers] = shown.crossings
    _keep_numbers(state, evaluation, rows)
    _remember(state, numbers)
    publication.remember(state, evaluation, rows, effects)
    for marks in (accounts.differs, accounts.late, accounts.news, accounts.backfilled):
        marks[numbers] = False
    state.time_parts[:, numbers] = 0
    effects.marks.append(numbers)
    effects.published += len(rows)


def differs(state: State, evaluation: Evaluation) -> BoolArray:
    """Which accounts' evaluations differ from their last publication. [row]

    An account that was published as stale is not published again while it is.
    """
    accounts, published = state.accounts, state.published
    at = evaluation.accounts
    changed: BoolArray = (
        accounts.differs[at]
        | (evaluation.tenths != published.tenths[at])
        | (evaluation.computed != published.computed[at])
        | (evaluation.coverage != published.coverage[at])
        | (accounts.stale[at] != published.stale[at])
        | have_passed(state, at)
        | publication.differs(state, evaluation)
    )
    overridden = {*accounts.overrides.items()} ^ {*published.overrides.items()}
    others = np.array(sorted({account for account, _ in overridden}), np.int64)
    changed[np.isin(at, others)] = True
    return changed & ~(accounts.stale[at] & published.stale[at])


def headings_of(state: State, cards: IntArray, tenths: IntArray) -> IntArray:
    """The number of each account's scorecard, revision and band, at these scores. [row]"""
    assert state.plan is not None
    plan = state.plan
    pairs, places = np.unique(cards * 2048 + tenths + 1, return_inverse=True)
    found = []
    for pair in pairs.tolist():
        card, tenth = plan.scorecards[pair // 2048], pair % 2048 - 1
        heading = Heading(card.id, plan.revision, plan.band(tenth))
        found.append(state.published.heading_number(heading))
    return np.array(found, np.int64)[places]


def _keep_numbers(state: State, evaluation: Evaluation, rows: IntArray) -> None:
    published, numbers = state.published, evaluation.accounts[rows]
    published.sequences[numbers] += 1
    published.tenths[numbers] = evaluation.tenths[rows]
    published.computed[numbers] = evaluation.computed[rows]
    published.coverage[numbers] = evaluation.coverage[rows]
    published.stale[numbers] = state.accounts.stale[numbers]


def _remember(state: State, numbers: IntArray) -> None:
    """Keep, of what is published, that which few accounts have."""
    accounts, published = state.accounts, state.published
    for account in numbers.tolist():
        published.profiles[account] = accounts.profiles[account]
    for account in published.gone.keys() & set(numbers.tolist()):
        del published.gone[account]
    for account in (accounts.overrides.keys() | published.overrides.keys()) & set(numbers.tolist()):
        published.overrides.pop(account, None)
        if account in accounts.overrides:
            published.overrides[account] = accounts.overrides[account]


class _Shown:
    """The rows of an evaluation that are published, as plain numbers."""

    def __init__(
        self,
        state: State,
        evaluation: Evaluation,
        rows: IntArray,
        headings: IntArray,
        as_of: str,
        mode: Mode,
    ) -> None:
        published = state.published
        numbers, tenths = evaluation.accounts[rows], evaluation.tenths[rows]
        self.state, self.as_of, self.mode = state, as_of, mode
        self.accounts = numbers.tolist()
        self.tenths, self.computed = tenths.tolist(), evaluation.computed[rows].tolist()
        self.coverage = evaluation.coverage[rows].tolist()
        self.headings = headings.tolist()
        self.sequences = published.sequences[numbers].tolist()
        self.before = published.tenths[numbers].tolist(), published.headings[numbers].tolist()
        moments, self.moments = np.unique(published.as_of_ms[numbers], return_inverse=True)
        self.crossings = crossings(state, numbers, tenths)
        self.times = [iso_time(at_ms) for at_ms in moments.tolist()]
        self.changes = [_changes(state, numbers, tenths, back) for back in (8, 29)]

    def health(self, explained: Explained) -> Health:
        """The health record of a row."""
        state, row, account = self.state, explained.row, self.accounts[explained.row]
        heading = state.published.known_headings[self.headings[row]]
        override = state.accounts.overrides.get(account)
        computed = self.computed[row]
        return Health(
            account_id=state.accounts.ids[account],
            as_of=self.as_of,
            sequence=self.sequences[row] + 1,
            score=_points(self.tenths[row]),
            band=heading.band,
            coverage=self.coverage[row] / 100,
            mode=self.mode,
            previous=self._previous(row) if self.sequences[row] else None,
            change_7d=self.changes[0][row],
            change_28d=self.changes[1][row],
            scorecard=ScorecardName(heading.scorecard, heading.revision),
            dimensions=explained.dimensions,
            drivers=explained.drivers,
            profile=state.accounts.profiles[account],
            silence_risk=explained.silence_risk,
            override=_override(override) if override else None,
            computed_score=_points(computed) if override else None,
            building_history=computed == BUILDING,
            stale=bool(state.accounts.stale[account]),
            crosses=self._crossing(row),
            engagement=at_each_rank(state, account),
        )

    def _crossing(self, row: int) -> Crossing | None:
        day, band = (int(column[row]) for column in self.crossings)
        assert self.state.plan is not None
        return (
            None if day == NO_CROSSING else Crossing(self.state.plan.bands[band][0], iso_day(day))
        )

    def _previous(self, row: int) -> Previous:
        tenths, heading = (column[row] for column in self.before)
        band = self.state.published.known_headings[heading].band
        return Previous(_points(tenths), band, self.times[self.moments[row]])


def _points(tenths: int) -> float | None:
    return tenths / 10 if tenths >= 0 else None


def _override(override: Override) -> OverrideHealth:
    expires_at = iso_time(override.expires_ms)
    return OverrideHealth(override.score_tenths / 10, override.author, override.reason, expires_at)


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
