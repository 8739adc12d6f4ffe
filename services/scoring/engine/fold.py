"""Events into the three primitives: day sums, day sets and registers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from xxhash import xxh3_64_intdigest

from services.scoring.engine.accounts import account_numbers
from services.scoring.engine.active_days import fold_active_days
from services.scoring.engine.days import any_bit, day_bits
from services.scoring.engine.decode import Columns
from services.scoring.engine.effects import Effects
from services.scoring.engine.erasures import known_by
from services.scoring.engine.facts import LATEST, fold_facts, put
from services.scoring.engine.numbers import millionths_of, number_of
from services.scoring.engine.open_keys import fact_name, fold_key
from services.scoring.engine.plan import Signal, same, text_of
from services.scoring.engine.sources import note_events
from services.scoring.engine.state import (
    RING_DAYS,
    ActiveDays,
    DaySets,
    DaySums,
    Fact,
    Latest,
    OpenKeys,
    State,
)
from services.scoring.engine.table import BoolArray, IntArray, distinct, grown
from services.scoring.engine.windows import window_bits
from shared.configuration import HORIZON_DAYS

TYPES_MAX = 10_000
"""So many event types are kept numbered: whoever writes a type per event means something else."""

LATE_MS = 24 * 3600 * 1000
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def fold(state: State, batch: Columns, effects: Effects) -> None:
    """Fold events that are neither duplicates nor ahead of the clock."""
    assert state.plan is not None
    assert state.clock.now_ms is not None
    accounts = account_numbers(state, [event.account_id for event in batch.events], effects)
    effects.events += len(batch.events)
    days = state.plan.calendar.days_of(batch.times_ms)
    counted = days >= state.day - HORIZON_DAYS
    heard = (accounts, days, counted)
    names = [event.source for event in batch.events]
    note_events(state.sources, names, heard, state.clock.now_ms, effects.sources)
    news = counted | fold_facts(state, batch, accounts, effects)
    effects.too_old += int(len(days) - counted.sum())
    types = _type_numbers(state, batch)
    for number, (signal, kept) in enumerate(zip(state.plan.signals, state.signals, strict=True)):
        hits = state.matches[number, types]
        if not isinstance(kept, Latest):
            hits = hits & counted
        positions = np.flatnonzero(hits)
        if signal.where and len(positions):
            positions = _where(batch, positions, signal)
        if len(positions):
            match = _Match(signal, positions, accounts[positions], days[positions])
            if isinstance(kept, Latest):
                news[_fold_latest(state, kept, match, batch, effects)] = True
            else:
                _FOLDS[type(kept)](state, kept, match, batch, effects)
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


def _type_numbers(state: State, batch: Columns) -> IntArray:
    """The column of `state.matches` for each event's type. [event]"""
    assert state.plan is not None
    present = {event.type for event in batch.events}
    if len(state.types) + len(present) > TYPES_MAX:
        state.types, state.matches = {}, state.matches[:, :0]
    new = present - state.types.keys()
    if new:
        names = sorted(new)
        state.types.update({name: len(state.types) + at for at, name in enumerate(names)})
        reads = [[signal.reads(name) for name in names] for signal in state.plan.signals]
        added = np.array(reads, dtype=bool).reshape(len(state.plan.signals), len(names))
        state.matches = np.hstack([state.matches, added])
    return np.array([state.types[event.type] for event in batch.events], dtype=np.int64)


def _where(batch: Columns, positions: IntArray, signal: Signal) -> IntArray:
    """Those of the positions whose properties equal the signal's `where`, or that only close."""
    kept = [
        position
        for position in positions.tolist()
        if all(
            same(batch.events[position].properties.get(name), value) for name, value in signal.where
        )
        or signal.closes(batch.events[position].type)
    ]
    return np.array(kept, dtype=np.int64)


def _values(batch: Columns, match: "_Match") -> list[Any]:
    """What each event of the match has as the signal's property; None without it. [match]"""
    name = match.signal.property or ""
    return [batch.events[at].properties.get(name) for at in match.positions.tolist()]


@dataclass
class _Match:
    """The events of a batch that a signal takes in; all arrays are [match]."""

    signal: Signal
    positions: IntArray
    accounts: IntArray
    days: IntArray

    def keep(self, wanted: list[bool]) -> "_Match":
        mask = np.array(wanted, dtype=bool)
        return _Match(self.signal, self.positions[mask], self.accounts[mask], self.days[mask])


def _fold_sums(
    state: State,
    kept: DaySums,
    match: _Match,
    batch: Columns,
    effects: Effects,
) -> None:
    amounts: Any = 1
    if match.signal.property is not None:
        found = [millionths_of(value) for value in _values(batch, match)]
        match = match.keep([amount is not None for amount in found])
        amounts = np.array([amount for amount in found if amount is not None], dtype=np.int64)
    np.add.at(kept.values, (match.days % RING_DAYS, match.accounts), amounts)
    effects.sums.append((kept.signal_no, match.accounts, match.days))


def _fold_sets(
    state: State,
    kept: DaySets,
    match: _Match,
    batch: Columns,
    effects: Effects,
) -> None:
    if match.signal.property is None:
        texts = [_user(state, batch, at) for at in match.positions.tolist()]
    else:
        texts = [text_of(value) for value in _values(batch, match)]
    match = match.keep([text is not None for text in texts])
    if not len(match.positions):
        return
    seed = state.hash_seed
    hashes = [xxh3_64_intdigest(text, seed) for text in texts if text is not None]
    keys = np.array(hashes, dtype=np.uint64) + match.accounts.astype(np.uint64) * _SPREAD
    things, firsts = kept.things.add(keys)
    add_owners(kept, match.accounts[firsts])
    touched = distinct(things)
    before = kept.low[touched], kept.high[touched]
    low, high = day_bits(match.days)
    np.bitwise_or.at(kept.low, things, low)
    np.bitwise_or.at(kept.high, things, high)
    assert state.plan is not None
    for window, counts in kept.counts.items():
        bits = window_bits(state.plan.windows[window], state.day)
        inside = any_bit(kept.low[touched], kept.high[touched], bits) & ~any_bit(*before, bits)
        np.add.at(counts, kept.owners[touched[inside]], 1)
    effects.things.append((kept.signal_no, touched))


def _user(state: State, batch: Columns, position: int) -> bytes | None:
    user = batch.events[position].user_id
    return None if user is None else known_by(state, user, int(batch.times_ms[position]))[0]


def add_owners(kept: DaySets, owners: IntArray) -> None:
    """Append things, in the order in which the table numbered them."""
    start, end = kept.things.count - len(owners), kept.things.count
    kept.owners = grown(kept.owners, end)
    kept.low = grown(kept.low, end)
    kept.high = grown(kept.high, end)
    kept.owners[start:end] = owners


def _fold_active_days(
    state: State,
    kept: ActiveDays,
    match: _Match,
    batch: Columns,
    effects: Effects,
) -> None:
    fold_active_days(kept, match.accounts, match.days)
    effects.active_days.append((kept.signal_no, match.accounts))


def _fold_open(
    state: State,
    kept: OpenKeys,
    match: _Match,
    batch: Columns,
    effects: Effects,
) -> None:
    texts = map(text_of, _values(batch, match))
    for row, (position, key) in enumerate(zip(match.positions.tolist(), texts, strict=True)):
        if key is not None:
            event = batch.events[position]
            opens = not match.signal.closes(event.type)
            fact = Fact(int(batch.times_ms[position]), event.id, opens)
            account = int(match.accounts[row])
            fold_key(state, kept, account, fact_name(kept, key), fact, effects)


def _fold_latest(
    state: State,
    kept: Latest,
    match: _Match,
    batch: Columns,
    effects: Effects,
) -> list[int]:
    """The positions of the events that brought a newer value."""
    name = LATEST + str(kept.signal_no)
    news = []
    values = _values(batch, match)
    for row, position in enumerate(match.positions.tolist()):
        number = number_of(values[row])
        account = int(match.accounts[row])
        fact = Fact(int(batch.times_ms[position]), batch.events[position].id, number)
        if number is not None and put(state, account, name, fact, effects):
            kept.values[account] = number
            kept.days[account] = match.days[row]
            news.append(position)
    return news


_FOLDS: dict[type, Any] = {
    DaySums: _fold_sums,
    DaySets: _fold_sets,
    ActiveDays: _fold_active_days,
    OpenKeys: _fold_open,
}
