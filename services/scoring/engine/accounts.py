"""Accounts come into the state: their numbers, and room for them in every array."""

from typing import Any

import numpy as np
from xxhash import xxh3_64_intdigest

from services.scoring.engine.effects import Effects
from services.scoring.engine.facts import refresh_profile
from services.scoring.engine.score import NO_SCORE
from services.scoring.engine.state import (
    NEVER,
    ActiveDays,
    DaySets,
    DaySums,
    OpenKeys,
    State,
)
from services.scoring.engine.table import HashArray, IntArray, grown


def account_numbers(state: State, ids: list[str], effects: Effects) -> IntArray:
    """The number of each account; new ones are created. [event]"""
    numbers, firsts = state.accounts.table.add(account_hashes(state, ids))
    for position in firsts.tolist():
        effects.accounts.add(create_account(state, ids[position], state.day))
    return numbers


def account_hashes(state: State, ids: list[str]) -> HashArray:
    """A keyed 64-bit hash of each account id."""
    seed = state.hash_seed
    return np.array(
        [xxh3_64_intdigest(identity.encode(), seed) for identity in ids], dtype=np.uint64
    )


def create_account(state: State, identity: str, day: int) -> int:
    """Append an account, without a profile; its number."""
    accounts = state.accounts
    account = accounts.count
    size = account + 1
    accounts.ids.append(identity)
    accounts.facts.append({})
    accounts.profiles.append({})
    for name in (
        "created_days",
        "late",
        "touched",
        "differs",
        "cards",
        "news",
        "stale",
    ):
        setattr(accounts, name, grown(getattr(accounts, name), size))
    accounts.closed_tenths = grown(accounts.closed_tenths, size, NO_SCORE)
    accounts.history = grown(accounts.history, size, -2)
    accounts.created_days[account] = day
    accounts.touch(account)
    state.profile_numbers = grown(state.profile_numbers, size, np.nan, axis=1)
    state.profile_matches = grown(state.profile_matches, size, axis=1)
    state.evaluated = grown(state.evaluated, size, axis=1)
    state.time_parts = grown(state.time_parts, size, axis=1)
    state.published.make_room(size)
    for kept in state.signals:
        make_room(kept, size)
    refresh_profile(state, account)
    return account


def make_room(kept: Any, size: int) -> None:
    """Let a signal's arrays hold `size` accounts."""
    if isinstance(kept, DaySums):
        kept.values = grown(kept.values, size, axis=1)
    elif isinstance(kept, DaySets):
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
