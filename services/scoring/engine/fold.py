"""Events into the three primitives: day sums, day sets and registers."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from services.scoring.engine.accounts import account_numbers
from services.scoring.engine.active_days import fold_active_day
from services.scoring.engine.columns import Columns
from services.scoring.engine.effects import Effects
from services.scoring.engine.facts import LATEST, fold_facts, put
from services.scoring.engine.numbers import millionths, number_of
from services.scoring.engine.open_keys import fact_name, fold_key
from services.scoring.engine.plan import Signal, text_of
from services.scoring.engine.sources import note_events
from services.scoring.engine.state import (
    ActiveDays,
    DaySets,
    Fact,
    Latest,
    OpenKeys,
    State,
)
from services.scoring.engine.success.signals import fold_signals
from services.scoring.engine.sums import DaySums
from services.scoring.engine.table import BoolArray, IntArray, distinct, grown, keys_of
from services.scoring.engine.users.days import credit, fold_users
from services.scoring.engine.users.state import UserDays
from services.scoring.engine.windows import enter_days
from shared.configuration import HORIZON_DAYS

LATE_MS = 24 * 3600 * 1000

Positions = list[int]
"""Of events that are news although they are too old: what a fold may return."""


def fold(state: State, batch: Columns, effects: Effects) -> None:
    """Fold events that are neither duplicates nor ahead of the clock."""
    assert state.plan is not None
    assert state.classes is not None
    assert state.clock.now_ms is not None
    accounts = account_numbers(state, batch, effects)
    effects.events += len(batch)
    days = state.plan.calendar.days_of(batch.times_ms)
    counted = days >= state.day - HORIZON_DAYS
    heard = (accounts, days, counted)
    note_events(state.sources, batch.sources, heard, state.clock.now_ms, effects.sources)
    news = counted | fold_facts(state, batch, accounts, effects)
    fold_signals(state, batch, accounts, counted, effects)
    effects.too_old += int(len(days) - counted.sum())
    users = fold_users(state, batch, accounts, days, effects)
    for number, positions in state.classes.positions(batch).items():
        signal, kept = state.plan.signals[number], state.signals[number]
        if not isinstance(kept, Latest):
            positions = positions[counted[positions]]
        if len(positions):
            match = Match(signal, batch, positions, accounts, days, users)
            news[_FOLDS[type(kept)](state, kept, match, effects)] = True
    _mark(state, batch, accounts, news, effects)


def _mark(
    state: State, batch: Columns, accounts: IntArray, news: BoolArray, effects: Effects
) -> None:
    """Note which accounts had news, and which of those came late."""
    known, clock = state.accounts, state.clock
    heard_ms = batch.received_ms if clock.live else np.int64(clock.now_ms or 0)
    late = distinct(accounts[news & (heard_ms - batch.times_ms > LATE_MS)])
    touched = distinct(accounts[news])
    effects.marks += [late[~known.late[late]], touched[~known.news[touched]]]
    known.late[late] = True
    known.touch(touched)


class Match:
    """The events of a batch that a signal takes in."""

    def __init__(
        self,
        signal: Signal,
        batch: Columns,
        positions: IntArray,
        accounts: IntArray,
        days: IntArray,
        users: IntArray,
    ) -> None:
        self.signal = signal
        self.batch = batch
        self.positions = positions
        self.accounts: IntArray = accounts[positions]  # [match]
        self.days: IntArray = days[positions]  # [match]
        self.users: IntArray = users[positions]  # [match], −1 without one

    def values(self) -> list[Any]:
        """What each event has as the signal's property; None without it. [match]"""
        assert self.signal.property is not None
        return self.batch.property(self.signal.property, self.positions.tolist())

    def by_day(self, rows: IntArray | None = None) -> Iterator[tuple[int, IntArray]]:
        """Each day with its rows of the match, or of some of them."""
        rows = np.arange(len(self.positions)) if rows is None else rows
        days = self.days[rows]
        for day in distinct(days).tolist():
            yield day, rows[days == day]


def _fold_sums(state: State, kept: DaySums, match: Match, effects: Effects) -> Positions:
    assert state.plan is not None
    amounts, rows = None, None
    if match.signal.property is not None:
        amounts, rows = millionths(match.values())
    for day, own in match.by_day(rows):
        accounts = match.accounts[own]
        added = 1 if amounts is None else amounts[own]
        kept.add(day, state.day, accounts, added, state.plan.windows)
        effects.sums.append((kept.signal_no, accounts, match.days[own]))
    return []


def _fold_users(state: State, kept: UserDays, match: Match, effects: Effects) -> Positions:
    rows = np.flatnonzero(match.users >= 0)
    credit(state, kept, match.users[rows], match.days[rows], effects)
    return []


def _fold_sets(state: State, kept: DaySets, match: Match, effects: Effects) -> Positions:
    hashes, rows = state.value_hashes.of(match.values())
    if not len(rows):
        return []
    keys = keys_of(hashes, match.accounts[rows])
    things, firsts = kept.things.add(keys)
    add_owners(kept, match.accounts[rows[firsts]])
    touched = enter_days(state, kept, kept.owners, things, match.days[rows])
    if len(touched):
        effects.things.append((kept.signal_no, touched))
    return []


def add_owners(kept: DaySets, owners: IntArray) -> None:
    """Append things, in the order in which the table numbered them."""
    start, end = kept.things.count - len(owners), kept.things.count
    kept.owners = grown(kept.owners, end)
    kept.low = grown(kept.low, end)
    kept.high = grown(kept.high, end)
    kept.owners[start:end] = owners


def _fold_active_days(state: State, kept: ActiveDays, match: Match, effects: Effects) -> Positions:
    for day, own in match.by_day():
        news = fold_active_day(kept, match.accounts[own], day)
        if len(news):
            effects.active_days.append((kept.signal_no, news))
    return []


def _fold_open(state: State, kept: OpenKeys, match: Match, effects: Effects) -> Positions:
    texts = map(text_of, match.values())
    for row, (position, key) in enumerate(zip(match.positions.tolist(), texts, strict=True)):
        if key is not None:
            event = match.batch.events[position]
            opens = not match.signal.closes(event.type)
            fact = Fact(int(match.batch.times_ms[position]), event.id, opens)
            account = int(match.accounts[row])
            fold_key(state, kept, account, fact_name(kept, key), fact, effects)
    return []


def _fold_latest(state: State, kept: Latest, match: Match, effects: Effects) -> Positions:
    """Returns the positions of the events that brought a newer value, however old."""
    name = LATEST + str(kept.signal_no)
    news = []
    values = match.values()
    for row, position in enumerate(match.positions.tolist()):
        number = number_of(values[row])
        account = int(match.accounts[row])
        event = match.batch.events[position]
        fact = Fact(int(match.batch.times_ms[position]), event.id, number)
        if number is not None and put(state, account, name, fact, effects):
            kept.values[account] = number
            kept.days[account] = match.days[row]
            news.append(position)
    return news


_FOLDS: dict[type, Any] = {
    DaySums: _fold_sums,
    DaySets: _fold_sets,
    UserDays: _fold_users,
    ActiveDays: _fold_active_days,
    OpenKeys: _fold_open,
    Latest: _fold_latest,
}
