"""Onboarding: milestones with deadlines from the start, done by an event or by a metric."""

import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.engine.calendar import DAYS, EPOCH, iso_day
from services.scoring.engine.state import State
from services.scoring.engine.success.facts import GAVE_UP, MILESTONE, OUTCOMES, SUCCEEDED
from services.scoring.engine.success.plan import OnboardingPlan
from services.scoring.engine.success.state import CHANGED, NEVER, UNPUBLISHED, CodeArray, SmallArray
from services.scoring.engine.table import FloatArray, IntArray, grown
from shared.events import MilestoneHealth, OnboardingHealth

STARTED = "onboarding_started_on"
OPEN, OVERDUE, DONE, DONE_LATE, FAILED = range(5)
STATUSES = ("open", "overdue", "done", "done", "failed")
NOT_STARTED, RUNNING, ALL_DONE, ENDED = range(4)
WHOLE = (None, "running", "done", "failed")
_WHOLE_BITS, _STATUS_BITS = 2, 3
_FILLS = {
    "matrix": UNPUBLISHED,
    "onboarding": UNPUBLISHED,
    "start_days": NEVER,
    "outcomes": 0,
    "outcome_days": NEVER,
    "reached_days": NEVER,
    "reached_since": NEVER,
    "burst_days": NEVER,
}
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class Standing(NamedTuple):
    """How some accounts' onboardings go; all are [row]."""

    whole: NDArray[np.int8]  # NOT_STARTED, RUNNING, ALL_DONE or ENDED
    codes: CodeArray  # the above, and each milestone's status
    scores: FloatArray  # NaN where nothing counts yet


def start_day(value: Any) -> int:
    """The day of a profile's `onboarding_started_on`; NEVER where it is no date of the calendar."""
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return NEVER
    try:
        day = (date.fromisoformat(value) - EPOCH).days
    except ValueError:
        return NEVER
    return day if 0 <= day < DAYS else NEVER


def refresh(state: State, account: int) -> None:
    """Bring an account's start and outcomes up to date with its facts."""
    assert state.plan is not None
    success, plan = state.success, state.plan.success.onboarding
    success.start_days[account] = start_day(state.accounts.profiles[account].get(STARTED))
    facts = state.accounts.facts[account]
    for number, milestone in enumerate(plan.milestones if plan else ()):
        if fact := facts.get(MILESTONE + milestone.id):
            success.outcomes[account, number] = OUTCOMES[fact.value]
            day = state.plan.calendar.day_of(fact.time_ms)
            success.outcome_days[account, number] = day


def make_room(state: State, size: int) -> None:
    """Let the arrays hold so many accounts."""
    success = state.success
    for name, fill in _FILLS.items():
        setattr(success, name, grown(getattr(success, name), size, fill))


def follow(state: State, old: OnboardingPlan | None) -> None:
    """Lay out anew what depends on the milestones' order; no status is compared with the old."""
    assert state.plan is not None
    plan, success, size = state.plan.success.onboarding, state.success, len(state.success.matrix)
    count = len(plan.milestones) if plan else 0
    reached = np.full((size, count), NEVER, np.int32)
    numbers = old.numbers if old else {}
    for at, milestone in enumerate(plan.milestones if plan else ()):
        if milestone.id in numbers:
            reached[:, at] = success.reached_days[:, numbers[milestone.id]]
    success.reached_days = reached
    success.outcomes = np.zeros((size, count), np.int8)
    success.outcome_days = np.full((size, count), NEVER, np.int32)
    success.onboarding[success.onboarding != UNPUBLISHED] = CHANGED


def latch(state: State, values_of: Callable[[State, IntArray], FloatArray]) -> list[int]:
    """Remember the milestones whose metric has the value at a day's close; whose they are.

    The closed day is the one before the running day. `values_of` gives all metrics' values of some
    accounts, [column, row].
    """
    assert state.plan is not None
    plan, success = state.plan.success.onboarding, state.success
    if plan is None:
        return []
    day, start = state.day - 1, success.start_days[: state.accounts.count]
    accounts = np.flatnonzero((start != NEVER) & (start <= day) & (day <= start + plan.last_days))
    if not len(accounts):
        return []
    anew = accounts[success.reached_since[accounts] != start[accounts]]
    success.reached_days[anew] = NEVER
    success.reached_since[anew] = start[anew]
    values = values_of(state, accounts)
    changed = np.isin(accounts, anew)
    for number, milestone in enumerate(plan.milestones):
        if milestone.column is not None:
            has_reached = values[milestone.column] >= milestone.at_least
            has_reached &= success.reached_days[accounts, number] == NEVER
            success.reached_days[accounts[has_reached], number] = day
            changed |= has_reached
    found: list[int] = accounts[changed].tolist()
    return found


def standing(state: State, accounts: IntArray) -> Standing:
    """How the accounts' onboardings stand on the running day."""
    result = _nothing_started(len(accounts))
    rows = np.flatnonzero(state.success.start_days[accounts] != NEVER)
    if len(rows):
        some, running_days = accounts[rows], np.full(len(rows), state.day)
        found = standing_on(state, some, running_days, reached_days(state, some))
        result.whole[rows], result.codes[rows], result.scores[rows] = found
    return result


def reached_days(state: State, accounts: IntArray) -> SmallArray:
    """The day at whose close each milestone's metric had the value. [row, milestone]"""
    success = state.success
    holds = success.reached_since[accounts] == success.start_days[accounts]
    return np.where(holds[:, None], success.reached_days[accounts], NEVER)


def standing_on(
    state: State, accounts: IntArray, running_days: IntArray, by_metric: SmallArray
) -> Standing:
    """How the accounts' onboardings stand, each account on a running day.

    `by_metric` is [row, milestone]: the days on which metrics reach what they should.
    """
    assert state.plan is not None
    plan, result = state.plan.success.onboarding, _nothing_started(len(accounts))
    if plan is None:
        return result
    start = state.success.start_days[accounts]
    rows = np.flatnonzero((start != NEVER) & (start <= running_days))
    if len(rows):
        days = running_days[rows]
        statuses = _statuses(state, plan, accounts[rows], days, by_metric[rows])
        whole = np.where(days > start[rows] + plan.last_days, ENDED, RUNNING)
        whole[(statuses != OPEN).all(axis=1) & (statuses != OVERDUE).all(axis=1)] = ENDED
        whole[((statuses == DONE) | (statuses == DONE_LATE)).all(axis=1)] = ALL_DONE
        result.whole[rows] = whole
        result.codes[rows] = _codes(whole, statuses)
        result.scores[rows] = _scores(plan, statuses)
    return result


def _nothing_started(count: int) -> Standing:
    return Standing(np.zeros(count, np.int8), np.zeros(count, np.int64), np.full(count, np.nan))


def _statuses(
    state: State,
    plan: OnboardingPlan,
    accounts: IntArray,
    running_days: IntArray,
    by_metric: SmallArray,
) -> NDArray[np.int8]:
    """Each milestone's status. [row, milestone]"""
    due = state.success.start_days[accounts][:, None] + plan.due_days
    done = _done_days(state, accounts, by_metric)
    statuses = np.where(running_days[:, None] > due, OVERDUE, OPEN).astype(np.int8)
    statuses[done != NEVER] = DONE
    statuses[(done != NEVER) & (done > due)] = DONE_LATE
    statuses[state.success.outcomes[accounts] == GAVE_UP] = FAILED
    return statuses


def done_days(state: State, accounts: IntArray) -> SmallArray:
    """The day on which each milestone was done; NEVER where it was not. [row, milestone]"""
    return _done_days(state, accounts, reached_days(state, accounts))


def _done_days(state: State, accounts: IntArray, by_metric: SmallArray) -> SmallArray:
    success = state.success
    said = success.outcomes[accounts] == SUCCEEDED
    by_event = np.where(said, success.outcome_days[accounts], NEVER)
    both = (by_event != NEVER) & (by_metric != NEVER)
    days: SmallArray = np.where(
        both, np.minimum(by_event, by_metric), np.maximum(by_event, by_metric)
    ).astype(np.int32)
    return days


def _codes(whole: IntArray, statuses: NDArray[np.int8]) -> CodeArray:
    codes: CodeArray = whole.astype(np.int64)
    for number in range(statuses.shape[1]):
        status = statuses[:, number].astype(np.int64)
        codes |= status << (_WHOLE_BITS + _STATUS_BITS * number)
    return codes


def _scores(plan: OnboardingPlan, statuses: NDArray[np.int8]) -> FloatArray:
    """The mean of the milestones that count, rounded to tenths; NaN where none does. [row]"""
    total, counted = np.zeros(len(statuses)), np.zeros(len(statuses))
    worth = np.array([0.0, 0.0, 100.0, plan.late_score, 0.0])
    for number in range(statuses.shape[1]):
        status = statuses[:, number]
        total += worth[status]
        counted += status != OPEN
    mean = np.full(len(statuses), np.nan)
    np.divide(total, counted, out=mean, where=counted > 0)
    scores: FloatArray = np.floor(mean * 10 + 0.5) / 10
    return scores


def whole_of(code: int) -> str | None:
    """The status of the onboarding that a code says; None where none has started."""
    return WHOLE[max(0, code) & (1 << _WHOLE_BITS) - 1]


def statuses_of(code: int, count: int) -> Iterator[int]:
    """The status of each of the milestones that a code says."""
    code = max(0, code) >> _WHOLE_BITS
    for _ in range(count):
        yield code & (1 << _STATUS_BITS) - 1
        code >>= _STATUS_BITS


def shown(state: State, account: int, code: int) -> OnboardingHealth | None:
    """The onboarding of an account as its health record shows it."""
    assert state.plan is not None
    plan, whole = state.plan.success.onboarding, whole_of(code)
    if plan is None or whole is None:
        return None
    statuses = list(statuses_of(code, len(plan.milestones)))
    score = float(_scores(plan, np.array([statuses]))[0])
    days = done_days(state, np.array([account]))[0].tolist()
    start = int(state.success.start_days[account])
    return OnboardingHealth(
        status=whole,
        started_on=iso_day(start),
        score=None if score != score else score,
        milestones=list(_milestones(plan, start, days, statuses)),
    )


def _milestones(
    plan: OnboardingPlan, start: int, days: list[int], statuses: list[int]
) -> Iterator[MilestoneHealth]:
    worth = {OPEN: None, DONE: 100.0, DONE_LATE: plan.late_score}
    for milestone, day, status in zip(plan.milestones, days, statuses, strict=True):
        yield MilestoneHealth(
            id=milestone.id,
            status=STATUSES[status],
            score=worth.get(status, 0.0),
            due_on=iso_day(start + milestone.due_days),
            done_on=iso_day(day) if status in (DONE, DONE_LATE) else None,
        )
