"""The days of users: events into bits, windows that move with the running day."""

from collections.abc import Iterable

import numpy as np
from xxhash import xxh3_64_intdigest

from services.scoring.engine.columns import Columns
from services.scoring.engine.days import Bits, any_bit, day_bits
from services.scoring.engine.effects import Effects
from services.scoring.engine.erasures import known_by
from services.scoring.engine.state import State
from services.scoring.engine.table import BoolArray, HashArray, IntArray, distinct, keys_of
from services.scoring.engine.users.state import NO_RANK, UserDays
from services.scoring.engine.windows import enter_days, window_bits
from shared.configuration import HORIZON_DAYS


def user_days(state: State) -> list[UserDays]:
    """The signals that are kept by user."""
    return [kept for kept in state.signals if isinstance(kept, UserDays)]


def fold_users(
    state: State, batch: Columns, accounts: IntArray, days: IntArray, effects: Effects
) -> IntArray:
    """The number of each event's user, new ones included; −1 without one. [event]

    An event that is too old names nobody.
    """
    numbers = np.full(len(batch.events), -1)
    oldest = state.day - HORIZON_DAYS
    nobody = np.uint64(xxh3_64_intdigest(b"", state.hash_seed))
    positions = np.flatnonzero((days >= oldest) & (batch.users != nobody))
    if not len(positions):
        return numbers
    users, hashed = state.users, batch.users[positions]
    _rename(state, hashed, batch, positions)
    found, firsts = users.table.add(keys_of(hashed, accounts[positions]))
    numbers[positions] = found
    if len(firsts):
        names = [_name(state, batch, position) for position in positions[firsts].tolist()]
        users.append(accounts[positions[firsts]], names, user_days(state))
    _see(state, found, days[positions], effects)
    return numbers


def _rename(state: State, hashes: HashArray, batch: Columns, positions: IntArray) -> None:
    """Tell who was erased from who came later with the same id. `hashes` are at `positions`."""
    erased = np.fromiter(state.erased, np.uint64, len(state.erased))
    for at in np.flatnonzero(np.isin(hashes, erased)).tolist():
        position = int(positions[at])
        user_id = batch.events[position].user_id or ""
        key, _ = known_by(state, user_id, int(batch.times_ms[position]))
        hashes[at] = xxh3_64_intdigest(key, state.hash_seed)


def _name(state: State, batch: Columns, position: int) -> bytes:
    """The user's id, unless the event may not be named."""
    user_id = batch.events[position].user_id or ""
    may = known_by(state, user_id, int(batch.times_ms[position]))[1]
    return user_id.encode() if may else b""


def _see(state: State, found: IntArray, days: IntArray, effects: Effects) -> None:
    """Note the newest day on which each was seen."""
    last_days = state.users.last_days
    later = days > last_days[found]
    if later.any():
        np.maximum.at(last_days, found[later], days[later].astype(np.int32))
        seen = distinct(found[later])
        state.users.look[seen] = True
        effects.users.append(seen)


def credit(state: State, kept: UserDays, users: IntArray, days: IntArray, effects: Effects) -> None:
    """Set the bits of users on days; both are [match]."""
    touched = enter_days(state, kept, state.users.owners, users, days)
    if len(touched):
        state.users.look[touched] = True
        effects.users.append(touched)


def turn_users(state: State) -> None:
    """The next day runs: its bits are empty, and all windows have moved."""
    assert state.plan is not None
    low, high = day_bits(np.array([state.day]))
    for kept in user_days(state):
        word, bit = (kept.low, low) if low[0] else (kept.high, high)
        word[np.flatnonzero(word & bit)] &= ~bit[0]
        for number, counts in kept.counts.items():
            window = state.plan.windows[number]
            old = window_bits(window, state.day - 1)
            new = window_bits(window, state.day)
            _move(state, kept, counts, (old, new), [window.first + 1, window.last])


def _move(
    state: State, kept: UserDays, counts: IntArray, bits: tuple[Bits, Bits], ages: list[int]
) -> None:
    """Count anew those for whom a day entered or left the window; `ages` are theirs."""
    old, new = bits
    moved = np.zeros(state.users.count, dtype=bool)
    for age in ages:
        if age:  # the running day is empty
            moved |= with_day(kept, state.day - age, state.users.count)
    users = np.flatnonzero(moved)
    low, high = kept.low[users], kept.high[users]
    change = any_bit(low, high, new).astype(np.int64) - any_bit(low, high, old)
    np.add.at(counts, state.users.owners[users], change)


def with_day(kept: UserDays, day: int, users: int) -> BoolArray:
    """Which users have the bit of a day. [user]"""
    low, high = day_bits(np.array([day]))
    found: BoolArray = (
        (kept.low[:users] & low[0]) != 0 if low[0] else (kept.high[:users] & high[0]) != 0
    )
    return found


def lay_out_users(state: State, kept: UserDays, windows: Iterable[int], accounts: int) -> None:
    """Let a signal count users in its windows, of so many accounts."""
    kept.make_room(len(state.users.owners))
    kept.counts = {at: np.zeros(accounts, np.int64) for at in windows}
    recount_users(state, kept)


def recount_users(state: State, kept: UserDays) -> None:
    """Count, for each window, the users of each account with a bit inside it."""
    assert state.plan is not None
    used = state.users.count
    for window, counts in kept.counts.items():
        bits = window_bits(state.plan.windows[window], state.day)
        inside = any_bit(kept.low[:used], kept.high[:used], bits)
        counts[:] = np.bincount(state.users.owners[:used][inside], minlength=len(counts))


def forget_users(state: State, least: int = 10_000) -> None:
    """Drop users without a rank that left the horizon, where they are most of at least `least`.

    Users are numbered anew: between steps only, when no effects name them any more.
    """
    users = state.users
    if users.count < least:
        return
    used = users.count
    alive = users.last_days[:used] >= state.day - HORIZON_DAYS
    alive |= users.ranks[:used] != NO_RANK
    if 2 * int(alive.sum()) <= used:
        users.take(np.flatnonzero(alive), user_days(state))
