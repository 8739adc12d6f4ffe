"""Accounts come into the state: their numbers, and room for them in every array."""

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np

from services.scoring.engine.columns import Columns
from services.scoring.engine.effects import Effects
from services.scoring.engine.facts import refresh_profile
from services.scoring.engine.score import NO_SCORE
from services.scoring.engine.state import (
    NEVER,
    ActiveDays,
    DaySets,
    OpenKeys,
    State,
)
from services.scoring.engine.success import onboarding
from services.scoring.engine.sums import DaySums
from services.scoring.engine.table import HashArray, IntArray, grown, hashes_of
from services.scoring.engine.users.state import UserDays

ARRAYS = {
    "created_days": 0,
    "late": False,
    "touched": False,
    "differs": False,
    "backfilled": False,
    "cards": 0,
    "news": False,
    "unheard": False,
    "stale": False,
    "closed_tenths": NO_SCORE,
    "history": -2,
}
"""What `Accounts` has by account, and what stands there of nobody."""


def account_numbers(state: State, batch: Columns, effects: Effects) -> IntArray:
    """The number of each event's account; new ones are created. [event]"""
    numbers, firsts = state.accounts.table.add(batch.accounts)
    if len(firsts):
        ids = [batch.events[position].account_id for position in firsts.tolist()]
        effects.accounts.update(append_accounts(state, ids, np.full(len(ids), state.day)))
    return numbers


def account_hashes(state: State, ids: Sequence[str]) -> HashArray:
    """A keyed 64-bit hash of each account id."""
    return hashes_of(ids, repeat(state.hash_seed))


def append_accounts(state: State, ids: Sequence[str], created_days: IntArray) -> range:
    """Append accounts without profiles, numbered as the table did; their numbers."""
    accounts = state.accounts
    start, size = accounts.count, accounts.count + len(ids)
    accounts.ids.extend(ids)
    accounts.facts.extend({} for _ in ids)
    accounts.profiles.extend({} for _ in ids)
    for name, fill in ARRAYS.items():
        setattr(accounts, name, grown(getattr(accounts, name), size, fill))
    accounts.created_days[start:size] = created_days
    accounts.touch(slice(start, size))
    state.profile_numbers = grown(state.profile_numbers, size, np.nan, axis=1)
    state.profile_matches = grown(state.profile_matches, size, axis=1)
    state.evaluated = grown(state.evaluated, size, axis=1)
    state.time_parts = grown(state.time_parts, size, axis=1)
    state.published.make_room(size)
    state.users.counts = grown(state.users.counts, size)
    for kept in state.signals:
        make_room(kept, size)
    onboarding.make_room(state, size)
    for account in range(start, size):
        refresh_profile(state, account)
    return range(start, size)


def make_room(kept: Any, size: int) -> None:
    """Let a signal's arrays hold `size` accounts."""
    if isinstance(kept, DaySums):
        kept.running = grown(kept.running, size)
        kept.totals = {window: grown(total, size) for window, total in kept.totals.items()}
    elif isinstance(kept, DaySets | UserDays):
        kept.counts = {window: grown(counts, size) for window, counts in kept.counts.items()}
    elif isinstance(kept, ActiveDays):
        kept.low, kept.high = grown(kept.low, size), grown(kept.high, size)
        kept.first, kept.last = grown(kept.first, size, NEVER), grown(kept.last, size, NEVER)
        kept.faded = grown(kept.faded, size)
    elif isinstance(kept, OpenKeys):
        kept.counts = grown(kept.counts, size)
    else:
        kept.values = grown(kept.values, size, np.nan)
        kept.days = grown(kept.days, size, NEVER)
