"""`scoring.account_user`: one row for each user of an account, with all days of all its signals."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from services.scoring.engine.days import turned_bits
from services.scoring.engine.effects import Effects
from services.scoring.engine.state import State
from services.scoring.engine.table import IntArray, distinct
from services.scoring.engine.users.days import recount_users, user_days
from services.scoring.engine.users.ranks import Words
from services.scoring.engine.users.state import NO_RANK
from services.scoring.tables.partition import Columns, Reader, Writer

DAYS = np.dtype([("signal_no", "<i4"), ("low", "<u8"), ("high", "<u8")])
"""One signal's days of a user, in `bits`; a signal without any is left out."""


@dataclass(frozen=True)
class UserRows:
    """What a step changed of the users."""

    users: Columns
    records: Columns  # the newest rank records of users
    ranks_dropped: bool


def rows(state: State, effects: Effects) -> UserRows:
    """The users that the step saw or ranked, and what was told of their ranks."""
    touched = distinct(np.concatenate(effects.users)) if effects.users else None
    return UserRows(
        users=[] if touched is None else _users(state, touched),
        records=_records(state, effects),
        ranks_dropped=effects.ranks_dropped_at is not None,
    )


def _users(state: State, touched: IntArray) -> Columns:
    users = state.users
    return [
        users.owners[touched].tolist(),
        users.table.hashes[touched].view(np.int64).tolist(),
        users.names.texts(touched),
        users.last_days[touched].tolist(),
        [state.day] * len(touched),
        _bits(state, touched),
        _ranks(users.ranks[touched]),
        _ranks(users.settling[touched]),
        users.watches[touched].tolist(),
    ]


def _records(state: State, effects: Effects) -> Columns:
    """The newest rank record of each user; of one who was erased nothing is kept."""
    users = state.users
    told = effects.ranks[effects.ranks_dropped_at or 0 :]
    newest = {each.user: each.value.decode() for each in told}
    named = [user for user in newest if users.names.text(user) is not None]
    if not named:
        return []
    hashes = users.table.hashes[named].view(np.int64)
    return [users.owners[named].tolist(), hashes.tolist(), [newest[user] for user in named]]


def _ranks(numbers: NDArray[np.int8]) -> list[int | None]:
    return [None if number == NO_RANK else number for number in numbers.tolist()]


def _bits(state: State, users: IntArray) -> list[bytes]:
    """The days of users, each as DAYS of the signals that have any."""
    signals = user_days(state)
    days = np.zeros((len(users), len(signals)), DAYS)
    for at, kept in enumerate(signals):
        days["signal_no"][:, at] = kept.signal_no
        days["low"][:, at], days["high"][:, at] = kept.low[users], kept.high[users]
    given = (days["low"] | days["high"]) != 0
    ends = [0, *(np.cumsum(given.sum(axis=1)) * DAYS.itemsize).tolist()]
    packed = days[given].tobytes()
    return [packed[start:end] for start, end in pairwise(ends)]


async def save(writer: Writer, rows: UserRows) -> None:
    """Write what a step changed."""
    if rows.ranks_dropped:
        await writer.run(
            "UPDATE scoring.account_user SET rank = NULL, settling = NULL, watch = 0,"
            " record = NULL WHERE partition = $1"
            " AND (rank IS NOT NULL OR settling IS NOT NULL OR watch <> 0)"
        )
    await writer.rows(
        "INSERT INTO scoring.account_user"
        " (partition, account_no, thing, user_id, last_day, at_day, bits, rank, settling,"
        " watch)"
        " SELECT $1, * FROM unnest($2::int[], $3::bigint[], $4::text[], $5::int[], $6::int[],"
        " $7::bytea[], $8::smallint[], $9::smallint[], $10::int[])"
        " ON CONFLICT (partition, account_no, thing) DO UPDATE SET user_id = excluded.user_id,"
        " last_day = excluded.last_day, at_day = excluded.at_day, bits = excluded.bits,"
        " rank = excluded.rank, settling = excluded.settling, watch = excluded.watch,"
        " record = CASE WHEN excluded.user_id IS NOT NULL THEN account_user.record END",
        rows.users,
    )
    await writer.rows(
        "UPDATE scoring.account_user u SET record = told.record"
        " FROM unnest($2::int[], $3::bigint[], $4::json[]) AS told (account_no, thing, record)"
        " WHERE u.partition = $1 AND u.account_no = told.account_no AND u.thing = told.thing",
        rows.records,
    )


async def forget(writer: Writer, oldest_day: int) -> None:
    """Drop who has no rank and was last seen before a day."""
    await writer.run(
        "DELETE FROM scoring.account_user WHERE partition = $1 AND last_day < $2 AND rank IS NULL",
        oldest_day,
    )


async def load(reader: Reader, state: State) -> None:
    """Fill the state's users and their days; what is derived of them too."""
    found = await reader.rows(
        "account_user",
        "account_no, thing, user_id, last_day, at_day, bits, rank, settling, watch",
    )
    if found:
        owners, things, names, last_days, at_days, bits, *noted = zip(*found, strict=True)
        ranks, settling, watches = noted
        users = state.users
        users.table.add(np.array(things, np.int64).view(np.uint64))
        texts = [(name or "").encode() for name in names]
        users.append(np.array(owners), texts, user_days(state))
        count = users.count
        users.last_days[:count] = last_days
        users.ranks[:count] = [NO_RANK if rank is None else rank for rank in ranks]
        users.settling[:count] = [NO_RANK if rank is None else rank for rank in settling]
        users.watches[:count] = watches
        ranked = np.flatnonzero(users.ranks[:count] != NO_RANK)
        np.add.at(users.counts, (users.owners[ranked], users.ranks[ranked]), 1)
        _fill(state, bits, np.array(at_days))
    for kept in user_days(state):
        recount_users(state, kept)


def _fill(state: State, bits: Sequence[bytes], at_days: IntArray) -> None:
    """Set the bits of users."""
    days = user_days(state)
    words = unpack(bits, at_days, state.day, [kept.signal_no for kept in days])
    for kept, (low, high) in zip(days, words, strict=True):
        kept.low[: len(bits)], kept.high[: len(bits)] = low, high


def unpack(
    bits: Sequence[bytes], at_days: IntArray, running_day: int, signal_nos: Sequence[int]
) -> list[Words]:
    """The days of users for each of the signals, those that turned since `at_days` left out."""
    sizes = np.fromiter(map(len, bits), np.int64, len(bits)) // DAYS.itemsize
    users = np.repeat(np.arange(len(bits)), sizes)
    days = np.frombuffer(b"".join(bits), DAYS)
    words = []
    for signal_no in signal_nos:
        low, high = np.zeros(len(bits), np.uint64), np.zeros(len(bits), np.uint64)
        own = days["signal_no"] == signal_no
        low[users[own]], high[users[own]] = days["low"][own], days["high"][own]
        words.append((low, high))
    for at_day in np.unique(at_days).tolist():
        kept_low, kept_high = turned_bits(at_day, running_day)
        written = np.flatnonzero(at_days == at_day)
        for low, high in words:
            low[written] &= kept_low
            high[written] &= kept_high
    return words


async def newest_records(reader: Reader) -> list[tuple[bytes, bytes]]:
    """The newest rank record of each user, by account and user: what a new log starts with."""
    found = await reader.rows("account_user", "record ->> 'account_id', user_id, record::text")
    told = [row for row in found if row[2] is not None and row[1] is not None]
    told.sort(key=lambda row: (row[0].encode(), row[1].encode()))
    return [(row[0].encode(), row[2].encode()) for row in told]
