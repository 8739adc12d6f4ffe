"""A partition takes in what the kept log says."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from services.scoring.engine.accounts import account_hashes
from services.scoring.engine.active_days import turned
from services.scoring.engine.backfill.piece import Arrays, Piece
from services.scoring.engine.backfill.telling import fact_prefix
from services.scoring.engine.days import turned_bits
from services.scoring.engine.effects import Effects
from services.scoring.engine.facts import put
from services.scoring.engine.fold import add_owners
from services.scoring.engine.open_keys import fold_key, forget_closed
from services.scoring.engine.state import (
    NEVER,
    ActiveDays,
    DaySets,
    Fact,
    Latest,
    OpenKeys,
    SignalState,
    State,
)
from services.scoring.engine.sums import DaySums
from services.scoring.engine.table import IntArray, keys_of
from services.scoring.engine.users.days import recount_users
from services.scoring.engine.users.state import UserDays
from services.scoring.engine.windows import recount
from shared.configuration import HORIZON_DAYS


def take_in(state: State, found: Sequence[Piece], effects: Effects) -> None:
    """Let the partition know what the log says of signals that still wait for it."""
    waiting = {kept.signal_no: kept for kept in state.signals if kept.signal_no in state.unread}
    learned = [piece for piece in found if piece.signal_no in waiting]
    for piece in learned:
        kept = waiting[piece.signal_no]
        accounts = state.accounts.table.find(account_hashes(state, piece.account_ids))
        _TAKEN[type(kept)](state, kept, piece, accounts, effects)
        kept.since_day = piece.since_day
    for signal_no in {piece.signal_no for piece in learned}:
        del state.unread[signal_no]
        _finish(state, waiting[signal_no], effects)
    if learned:
        everyone = slice(state.accounts.count)
        state.accounts.touch(everyone)
        state.accounts.backfilled[everyone] = True
        state.users.look_at_all = True
        effects.plan_changed = True


def _finish(state: State, kept: SignalState, effects: Effects) -> None:
    if isinstance(kept, DaySets):
        recount(state, kept)
    elif isinstance(kept, UserDays):
        recount_users(state, kept)
    elif isinstance(kept, OpenKeys):
        forget_closed(state, kept, effects)


def _take_sums(
    state: State, kept: DaySums, piece: Piece, accounts: IntArray, effects: Effects
) -> None:
    assert state.plan is not None
    rows = piece.arrays()
    inside = rows["day"] >= state.day - HORIZON_DAYS
    owners, days, values = (rows[name][inside] for name in ("account", "day", "value"))
    owners = accounts[owners]
    for day in np.unique(days).tolist():
        own = days == day
        kept.add(day, state.day, owners[own], values[own], state.plan.windows)
    effects.sums.append((kept.signal_no, owners, days))


def _take_sets(
    state: State, kept: DaySets, piece: Piece, accounts: IntArray, effects: Effects
) -> None:
    rows, owners = _turned(state, piece, accounts)
    things, firsts = kept.things.add(keys_of(rows["things"], owners))
    add_owners(kept, owners[firsts])
    kept.low[things] |= rows["low"]
    kept.high[things] |= rows["high"]
    effects.things.append((kept.signal_no, things))


def _take_user_days(
    state: State, kept: UserDays, piece: Piece, accounts: IntArray, effects: Effects
) -> None:
    """Whoever had an event inside the horizon is known already, whatever signals there were."""
    rows, owners = _turned(state, piece, accounts)
    users = state.users.table.find(keys_of(rows["things"], owners))
    known = users >= 0
    kept.low[users[known]] |= rows["low"][known]
    kept.high[users[known]] |= rows["high"][known]
    effects.users.append(users[known])


def _turned(state: State, piece: Piece, accounts: IntArray) -> tuple[Arrays, IntArray]:
    """The rows that still have days, and their accounts."""
    rows = piece.arrays()
    low, high = turned_bits(piece.as_of_day, state.day)
    rows["low"] &= low
    rows["high"] &= high
    alive = (rows["low"] | rows["high"]) != 0
    rows = {name: column[alive] for name, column in rows.items()}
    return rows, accounts[rows["account"]]


def _take_active_days(
    state: State, kept: ActiveDays, piece: Piece, accounts: IntArray, effects: Effects
) -> None:
    rows = piece.arrays()
    at = accounts[rows["account"]]
    low, high = turned_bits(piece.as_of_day, state.day)
    kept.faded[at] += turned(rows["low"], rows["high"], rows["faded"], piece.as_of_day, state.day)
    kept.low[at] |= rows["low"] & low
    kept.high[at] |= rows["high"] & high
    first = kept.first[at]
    kept.first[at] = np.where(first == NEVER, rows["first"], np.minimum(first, rows["first"]))
    kept.last[at] = np.maximum(kept.last[at], rows["last"])
    effects.active_days.append((kept.signal_no, at))


def _take_keys(
    state: State, kept: OpenKeys, piece: Piece, accounts: IntArray, effects: Effects
) -> None:
    for place, key, *said in piece.facts:
        name = fact_prefix(kept) + key
        fold_key(state, kept, int(accounts[place]), name, Fact(*said), effects)


def _take_latest(
    state: State, kept: Latest, piece: Piece, accounts: IntArray, effects: Effects
) -> None:
    assert state.plan is not None
    for place, _, *said in piece.facts:
        account, fact = int(accounts[place]), Fact(*said)
        if put(state, account, fact_prefix(kept), fact, effects):
            kept.values[account] = fact.value
            kept.days[account] = state.plan.calendar.day_of(fact.time_ms)


_TAKEN: dict[type, Callable[[State, Any, Piece, IntArray, Effects], None]] = {
    DaySums: _take_sums,
    DaySets: _take_sets,
    UserDays: _take_user_days,
    ActiveDays: _take_active_days,
    OpenKeys: _take_keys,
    Latest: _take_latest,
}
