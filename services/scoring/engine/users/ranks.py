"""Ranks of users: points for what they did, a score of them, and a rank by score and gates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from xxhash import xxh3_64_intdigest

from services.scoring.engine.effects import Effects, RankChanged
from services.scoring.engine.erasures import known_by
from services.scoring.engine.plan import Window
from services.scoring.engine.state import State
from services.scoring.engine.table import (
    BoolArray,
    FloatArray,
    HashArray,
    IntArray,
    distinct,
    keys_of,
)
from services.scoring.engine.users.days import with_day
from services.scoring.engine.users.plan import EngagementPlan, PointsPlan
from services.scoring.engine.users.state import LOWEST, NO_RANK, NOT_WATCHED, UserDays
from services.scoring.engine.windows import window_bits
from shared.configuration import HORIZON_DAYS, RANKS
from shared.events import RankChange, encode
from shared.times import iso_time

Words = tuple[HashArray, HashArray]
"""The low and the high words of some users' days."""


@dataclass
class Standing:
    """How engaged some users are; all arrays are [user]."""

    usage_rates: FloatArray  # 0–1
    points: list[FloatArray]  # of the usage rate, then of each signal
    tenths: IntArray  # the score 0–100
    ranks: IntArray  # number in RANKS that score and gates give, whatever was before


def standing(plan: EngagementPlan, days: Sequence[Words], running_day: int) -> Standing:
    """Points, scores and ranks from the closed days: a window of n days is r−n … r−1.

    `days` are those of each of `plan.earning`.
    """
    counts = [
        _days_inside(words, term, running_day)
        for words, term in zip(days, plan.earning, strict=True)
    ]
    rates = np.minimum(1.0, counts[0] / plan.full_days)
    points = [rates * plan.earning[0].points]
    for count, term in zip(counts[1:], plan.earning[1:], strict=True):
        points.append(np.minimum(term.cap, count * term.points))
    total = points[0]
    for each in points[1:]:
        total = total + each
    tenths = np.floor(np.minimum(100.0, total) * 10 + 0.5).astype(np.int64)
    ranks = np.full(len(tenths), LOWEST)
    for number in reversed(range(LOWEST)):
        gate = plan.gates[number]
        passed = (tenths / 10 >= gate.score) & (rates >= gate.usage_rate)
        for earning, least in gate.points:
            passed &= points[earning] >= least
        ranks[passed] = number
    return Standing(rates, points, tenths, ranks)


def _days_inside(words: Words, term: PointsPlan, running_day: int) -> IntArray:
    """On how many days of its window each user has a bit."""
    low, high = window_bits(Window(term.signal, term.window_days, 1), running_day)
    inside: IntArray = np.bitwise_count(words[0] & low).astype(np.int64)
    inside += np.bitwise_count(words[1] & high)
    return inside


def rank_users(state: State, as_of_ms: int, effects: Effects) -> None:
    """What a close changes of the ranks; the running day is the one that begins.

    A rank changes when this close and the one before agree on another; a first rank needs this
    one alone. Who has the lowest and was not seen in the horizon has none any more. Where a
    source of an account is stale, its users stay as they are, also while its score is overridden.
    """
    assert state.plan is not None
    plan, users = state.plan.engagement, state.users
    if plan is None:
        return
    usage = plan.earning[0]
    if state.day - usage.window_days < state.signals[usage.signal].since_day:
        users.look_at_all = True
        return
    users.ranked = True
    wanted = np.flatnonzero(_to_look_at(state, plan))
    held = state.accounts.unheard[users.owners[wanted]]
    users.look[wanted[held]] = True
    users.look_at_all = False
    looked = wanted[~held]
    if not len(looked):
        return
    found = standing(plan, [_words(state, term, looked) for term in plan.earning], state.day)
    old, last = users.ranks[looked].astype(np.int64), users.settling[looked].astype(np.int64)
    silent = users.last_days[looked] < state.day - HORIZON_DAYS
    new, settling = settled(old, last, found.ranks, silent)
    users.ranks[looked], users.settling[looked] = new, settling
    users.look[looked] = (settling != new) | (silent & (new == LOWEST))
    effects.users.append(looked[(new != old) | (settling != last)])
    changed = np.flatnonzero(new != old)
    _count(state, looked[changed], old[changed], new[changed])
    _tell(state, looked[changed], old[changed], found.tenths[changed], as_of_ms, effects)


def settled(
    old: IntArray, last: IntArray, found: IntArray, silent: BoolArray
) -> tuple[IntArray, IntArray]:
    """The ranks after a close, and what it found for the next one. [user]

    `old` are the ranks before it, `last` what the close before found, `found` what this one finds;
    `silent` is who was not seen in the horizon.
    """
    new = np.where((old == NO_RANK) | (found == last), found, old)
    gone = silent & ((old == NO_RANK) | ((old == LOWEST) & (found == LOWEST)))
    new[gone] = NO_RANK
    return new, np.where(gone, NO_RANK, found)


def _words(state: State, term: PointsPlan, users: IntArray) -> Words:
    kept = state.signals[term.signal]
    assert isinstance(kept, UserDays)
    return kept.low[users], kept.high[users]


def _to_look_at(state: State, plan: EngagementPlan) -> BoolArray:
    """Users of whom something changed, or for whom a day leaves a window at this close. [user]"""
    users, used = state.users, state.users.count
    if users.look_at_all:
        return np.ones(used, dtype=bool)
    found = users.look[:used].copy()
    for signal, window_days in {(term.signal, term.window_days) for term in plan.earning}:
        kept = state.signals[signal]
        assert isinstance(kept, UserDays)
        found |= with_day(kept, state.day - window_days - 1, used)
    found |= (users.last_days[:used] == state.day - HORIZON_DAYS - 1) & (
        users.ranks[:used] != NO_RANK
    )
    return found


def _count(state: State, changed: IntArray, old: IntArray, new: IntArray) -> None:
    """Move users from rank to rank; an account whose numbers differ is to be published."""
    owners = state.users.owners[changed].astype(np.int64)
    accounts = distinct(owners)
    counts = state.users.counts
    before = counts[accounts]
    for ranks, change in ((old, -1), (new, 1)):
        some = ranks != NO_RANK
        np.add.at(counts, (owners[some], ranks[some]), change)
    differ = accounts[(counts[accounts] != before).any(axis=1)]
    state.accounts.differs[differ] = True


def _tell(
    state: State,
    changed: IntArray,
    old: IntArray,
    tenths: IntArray,
    as_of_ms: int,
    effects: Effects,
) -> None:
    """A record for each user whose rank changed, by account and user; the nameless have none."""
    users = state.users
    names, now = users.names.texts(changed), users.ranks[changed]
    columns = (changed, users.owners[changed], old, now, tenths)
    ids, as_of = state.accounts.ids, iso_time(as_of_ms)
    told = [
        _told(user, ids[owner], name, (before, rank), score / 10, as_of)
        for name, user, owner, before, rank, score in zip(
            names, *(column.tolist() for column in columns), strict=True
        )
        if name is not None
    ]
    effects.ranks += sorted(told, key=lambda each: (each.key, each.name.encode()))


def _told(
    user: int, account_id: str, name: str, ranks: tuple[int, int], score: float, as_of: str
) -> RankChanged:
    before, now = (None if rank == NO_RANK else RANKS[rank] for rank in ranks)
    record = RankChange(account_id, name, now, before, score, as_of)
    return RankChanged(user, account_id.encode(), encode(record), name)


def forget_person(state: State, user_id: str, at_ms: int, effects: Effects) -> None:
    """Let nobody be named who is known by this id up to a time; before the erasure is remembered.

    Days and ranks stay under the hash, so that what an account counts does not move; what is told
    of a rank is that it is no more.
    """
    key, is_named = known_by(state, user_id, at_ms)
    if not is_named:
        return
    users, count = state.users, state.accounts.count
    hashes = np.full(count, xxh3_64_intdigest(key, state.hash_seed), np.uint64)
    found = users.table.find(keys_of(hashes, np.arange(count)))
    named = found[found >= 0]
    named = named[[name is not None for name in users.names.texts(named)]]
    ranked = named[users.ranks[named] != NO_RANK]
    ids, as_of = state.accounts.ids, iso_time(state.clock.now_ms or 0)
    told = [
        _told(user, ids[users.owners[user]], user_id, (users.ranks[user], NO_RANK), 0, as_of)
        for user in ranked.tolist()
    ]
    effects.ranks += sorted(told, key=lambda each: each.key)
    for user in named.tolist():
        users.names.erase(user)
    effects.users.append(named)


def drop_ranks(state: State, effects: Effects) -> None:
    """Nobody has a rank: the configuration gives none. Nothing is sent of it."""
    users = state.users
    users.ranks[:] = users.settling[:] = NO_RANK
    users.watches[:] = NOT_WATCHED
    users.counts[:] = 0
    users.ranked, users.look_at_all = False, True
    effects.ranks_dropped_at = len(effects.ranks)


def at_each_rank(state: State, account: int) -> Mapping[str, int]:
    """How many users of an account have each rank; empty where nobody can have one."""
    assert state.plan is not None
    if state.plan.engagement is None:
        return {}
    return dict(zip(RANKS, state.users.counts[account].tolist(), strict=True))


def ranked_users(state: State, lowest: int, accounts: IntArray) -> FloatArray:
    """How many users have a rank at least so good; unknown before a close gave them. [account]"""
    better = state.users.counts[accounts, : lowest + 1].sum(axis=1).astype(np.float64)
    known = state.users.ranked & (state.accounts.created_days[accounts] < state.day)
    return np.where(known, better, np.nan)
