"""What happened at an account and no number carries: signals, each told in one record."""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from services.scoring.engine.calendar import iso_day
from services.scoring.engine.columns import Columns
from services.scoring.engine.effects import Effects
from services.scoring.engine.erasures import known_by
from services.scoring.engine.numbers import number_of
from services.scoring.engine.state import State
from services.scoring.engine.success.facts import MILESTONE, SUCCEEDED
from services.scoring.engine.success.onboarding import (
    DONE,
    DONE_LATE,
    OVERDUE,
    done_days,
    statuses_of,
)
from services.scoring.engine.success.state import CHANGED, Told
from services.scoring.engine.table import BoolArray, FloatArray, IntArray
from shared.configuration import HORIZON_DAYS
from shared.events import AccountSignal, encode
from shared.times import iso_time, time_ms

SURVEY, JOINED = "survey.answered", "user.joined"
SOURCES = frozenset({SURVEY, JOINED})
"""The types of events that a signal may come from."""
BURST, ELSEWHERE = "ticket_burst", "known_user_elsewhere"
KNOWN_AT = "known_at"
TOLD_AT_ONCE_MAX = 50
"""So many signals one record tells, for a record has to fit into the topic."""


def identity(account: str, kind: str, user: str | None, subject: str | None, time: str) -> str:
    """A signal's id: the same wherever and whenever it is found again.

    It has no key. The seed of the other hashes belongs to a partition and is drawn anew with its
    tables, and the secret key may be changed: after a rebuild, a repartition or a new key signals
    would have other ids, and be told again. So whoever knows a user's id and the rest of a signal
    can tell that an id is of both, also after an erasure (docs/people-and-accounts.md says so).
    """
    what = encode([account, kind, user, subject, time])
    return hashlib.sha256(what).hexdigest()[:32]


class Found(NamedTuple):
    """A signal as it is found, at an account."""

    kind: str
    time_ms: int
    data: dict[str, Any]
    subject: str | None = None
    user: str | None = None


def arise(state: State, account: int, found: Found, effects: Effects) -> None:
    """Let the account's next record tell a signal, unless it was told or its day is too old."""
    assert state.plan is not None
    day = state.plan.calendar.day_of(found.time_ms)
    if day < state.day - HORIZON_DAYS:
        return
    success, time = state.success, iso_time(found.time_ms)
    key = identity(state.accounts.ids[account], found.kind, found.user, found.subject, time)
    told = success.told.setdefault(day, {})
    if key not in told:
        told[key] = Told(account, found.kind)
        signal = AccountSignal(key, found.kind, found.user, found.subject, time, found.data)
        success.pending.setdefault(account, []).append(signal)
        effects.success.signals.add((day, key))


def fold_signals(
    state: State, batch: Columns, accounts: IntArray, counted: BoolArray, effects: Effects
) -> None:
    """The signals that events are by themselves; those not `counted` are too old. [event]"""
    for position in batch.of(SOURCES):
        if counted[position]:
            _fold_signal(state, batch, position, int(accounts[position]), effects)


def _fold_signal(
    state: State, batch: Columns, position: int, account: int, effects: Effects
) -> None:
    """What one event says, which is neither a duplicate nor too old."""
    assert state.plan is not None
    event, time_ms = batch.events[position], int(batch.times_ms[position])
    plan, properties = state.plan.success.signals, batch.all_properties(position)
    user = _named(state, event.user_id, time_ms)
    if event.type == SURVEY:
        survey, score = properties.get("survey"), number_of(properties.get("score"))
        is_asked = isinstance(survey, str) and survey in plan.surveys
        if is_asked and score is not None and score <= plan.detractor_at_most:
            data = {"score": int(score) if score.is_integer() else score}
            arise(state, account, Found("detractor", time_ms, data, survey, user), effects)
    elif user is not None and (known_at := _texts(properties.get(KNOWN_AT))):
        found = Found(ELSEWHERE, time_ms, {"accounts": known_at}, known_at[0], user)
        arise(state, account, found, effects)


def _named(state: State, user: str | None, time_ms: int) -> str | None:
    """The user, if an event of this time may name them."""
    return user if user is not None and known_by(state, user, time_ms)[1] else None


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return []
    return value


def find_bursts(
    state: State,
    accounts: IntArray,
    in_window: Callable[[State, int, IntArray], FloatArray],
    effects: Effects,
) -> None:
    """Bursts of tickets on the running day. `in_window` gives a window's sums for some accounts."""
    assert state.plan is not None
    plan, success = state.plan.success.signals, state.success
    opened: FloatArray = in_window(state, plan.burst_window, accounts)
    quiet_until = success.burst_days[accounts] + plan.burst_days
    rows = np.flatnonzero((opened >= plan.burst_at_least) & (state.day > quiet_until))
    if not len(rows):
        return
    usual: FloatArray = in_window(state, plan.burst_usual, accounts[rows])
    for row, before in zip(rows.tolist(), usual.tolist(), strict=True):
        if opened[row] >= plan.burst_share * before:  # false where it is not known
            account = int(accounts[row])
            success.burst_days[account] = state.day
            begins_ms = state.plan.calendar.begins_ms(state.day)
            data = {"tickets": int(opened[row]), "before": int(before)}
            arise(state, account, Found(BURST, begins_ms, data), effects)


def find_milestones(state: State, account: int, code: int, effects: Effects) -> None:
    """Milestones that are overdue or done now, and were not in the account's last record."""
    assert state.plan is not None
    plan, calendar = state.plan.success.onboarding, state.plan.calendar
    before = int(state.success.onboarding[account])
    if plan is None or before == CHANGED:
        return
    count, start = len(plan.milestones), int(state.success.start_days[account])
    days = done_days(state, np.array([account]))[0].tolist()
    pairs = zip(statuses_of(before, count), statuses_of(code, count), strict=True)
    for number, (old, new) in enumerate(pairs):
        subject, due = plan.milestones[number].id, start + plan.milestones[number].due_days
        if new == OVERDUE and old != OVERDUE:
            data: dict[str, Any] = {"due_on": iso_day(due)}
            at_ms = calendar.begins_ms(due + 1)
            arise(state, account, Found("milestone_overdue", at_ms, data, subject), effects)
        elif new in (DONE, DONE_LATE) and old not in (DONE, DONE_LATE):
            at_ms = _done_ms(state, account, number, days[number])
            data = {"done_on": iso_day(days[number]), "late": new == DONE_LATE}
            arise(state, account, Found("milestone_done", at_ms, data, subject), effects)


def _done_ms(state: State, account: int, number: int, day: int) -> int:
    """The instant at which a milestone was done: of its event, or at the close of its day."""
    assert state.plan is not None
    plan, success = state.plan.success.onboarding, state.success
    assert plan is not None
    by_event = success.outcomes[account, number] == SUCCEEDED
    if by_event and success.outcome_days[account, number] == day:
        fact = state.accounts.facts[account][MILESTONE + plan.milestones[number].id]
        return fact.time_ms
    return state.plan.calendar.begins_ms(day + 1)


def take(state: State, account: int, effects: Effects) -> list[AccountSignal]:
    """What the account's record tells now, in the order of time; it is not told again."""
    assert state.plan is not None
    waiting = state.success.pending.pop(account, [])
    waiting.sort(key=lambda signal: (signal.time, signal.id))
    signals, more = waiting[:TOLD_AT_ONCE_MAX], waiting[TOLD_AT_ONCE_MAX:]
    if more:
        state.success.pending[account] = more
    for signal in signals:
        day = state.plan.calendar.day_of(time_ms(signal.time))
        effects.success.signals.add((day, signal.id))
    return signals


def forget(state: State) -> None:
    """Forget the signals of days that left the horizon, also what a stale account has not told."""
    assert state.plan is not None
    success, oldest = state.success, state.day - HORIZON_DAYS
    for day in [day for day in success.told if day < oldest]:
        for key, told in success.told.pop(day).items():
            waiting = success.pending.get(told.account, [])
            waiting[:] = [signal for signal in waiting if signal.id != key]
    success.pending = {account: waiting for account, waiting in success.pending.items() if waiting}


def unname(state: State, user_id: str, at_ms: int, effects: Effects) -> None:
    """Let no signal name who is known by this id up to a time; before the erasure is remembered."""
    assert state.plan is not None
    if not known_by(state, user_id, at_ms)[1]:
        return
    for waiting in state.success.pending.values():
        for place, signal in enumerate(waiting):
            if signal.user_id == user_id:
                waiting[place] = replace(signal, user_id=None)
                day = state.plan.calendar.day_of(time_ms(signal.time))
                effects.success.signals.add((day, signal.id))
    named, nameless = naming(user_id)
    records = effects.success.records
    for place, (account, sequence, day, record) in enumerate(records):
        records[place] = account, sequence, day, record.replace(named, nameless)
        newest = effects.health[account]
        effects.health[account] = newest._replace(record=newest.record.replace(named, nameless))
    effects.success.erased.append(user_id)


def naming(user_id: str) -> tuple[bytes, bytes]:
    """What stands in a record where a signal names a user, and in its place where it does not."""
    form = b',"user_id":%s,"subject":'
    return form % encode(user_id), form % b"null"
