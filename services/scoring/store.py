"""Saving a partition: a step's effects as rows, in one transaction with the offset."""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scoring.engine.effects import Effects
from services.scoring.engine.state import DaySets, DaySums, LastDays, State
from services.scoring.engine.table import IntArray
from shared.configuration import HORIZON_DAYS
from shared.events import encode
from shared.offsets import Claim, advance


async def save(
    connection: AsyncConnection, held: Claim, offset: int, state: State, effects: Effects
) -> Claim:
    """Write what a step changed; the fence comes first. Raises Fenced.

    Returns the claim at the new offset. Every statement names the partition and no other.
    """
    claim = await advance(connection, held, offset)
    await _save_partition(connection, state, effects)
    await _save_configuration(connection, state, effects)
    await _save_accounts(connection, state, effects)
    await _save_signals(connection, state, effects)
    await _save_health(connection, state, effects)
    await _save_log(connection, claim, state, effects)
    if effects.closed:
        await _forget(connection, state)
    return claim


async def _run(connection: AsyncConnection, sql: str, *values: Any) -> None:
    await connection.exec_driver_sql(sql, values)


async def _insert(
    connection: AsyncConnection, sql: str, partition: int, rows: Iterable[Sequence[Any]]
) -> None:
    """Run a statement over `unnest` of the rows' columns: $1 is the partition, then the arrays."""
    arrays = [list(column) for column in zip(*rows, strict=True)]
    if arrays:
        await _run(connection, sql, partition, *arrays)


async def _save_partition(connection: AsyncConnection, state: State, effects: Effects) -> None:
    await _run(
        connection,
        "UPDATE scoring.partition SET clock = $2, duplicates = duplicates + $3,"
        " too_old = too_old + $4 WHERE partition = $1",
        state.partition,
        encode_clock(state),
        effects.duplicates,
        effects.too_old,
    )


def encode_clock(state: State) -> str:
    """The clock, and the next row number, as JSON."""
    return encode({"clock": state.clock, "next_number": state.next_number}).decode()


async def _save_configuration(connection: AsyncConnection, state: State, effects: Effects) -> None:
    if effects.config_changed:
        await _run(
            connection,
            "DELETE FROM scoring.configuration WHERE partition = $1",
            state.partition,
        )
        rows = [("active", state.active_config)] if state.active_config else []
        rows += [("next", state.next_config)] if state.next_config else []
        await _insert(
            connection,
            "INSERT INTO scoring.configuration (partition, place, record)"
            " SELECT $1, * FROM unnest($2::text[], $3::bytea[])",
            state.partition,
            rows,
        )
    if effects.plan_changed:
        await _save_plan(connection, state)


async def _save_plan(connection: AsyncConnection, state: State) -> None:
    """Signals that the plan has; what is kept of others goes."""
    assert state.plan is not None
    numbers = [kept.signal_no for kept in state.signals]
    for table in ("day_sum", "day_set", "last_day"):
        await _run(
            connection,
            f"DELETE FROM scoring.{table} WHERE partition = $1 AND NOT signal_no = ANY($2::int[])",
            state.partition,
            numbers,
        )
    await _run(connection, "DELETE FROM scoring.signal WHERE partition = $1", state.partition)
    await _insert(
        connection,
        "INSERT INTO scoring.signal (partition, signal_no, definition, since_day)"
        " SELECT $1, * FROM unnest($2::int[], $3::text[], $4::int[])",
        state.partition,
        [
            (kept.signal_no, signal.definition, kept.since_day)
            for signal, kept in zip(state.plan.signals, state.signals, strict=True)
        ],
    )


async def _save_accounts(connection: AsyncConnection, state: State, effects: Effects) -> None:
    accounts = state.accounts
    await _insert(
        connection,
        "INSERT INTO scoring.account AS a (partition, account_no, account_id, created_day, late)"
        " SELECT $1, * FROM unnest($2::int[], $3::text[], $4::int[], $5::boolean[])"
        " ON CONFLICT (partition, account_no) DO UPDATE SET late = excluded.late",
        state.partition,
        [
            (at, accounts.ids[at], int(accounts.created_days[at]), bool(accounts.late[at]))
            for at in sorted(effects.accounts)
        ],
    )
    known = [
        (account, name, fact.time_ms, fact.event_id, encode(fact.value).decode())
        for account, name in sorted(effects.facts)
        if (fact := accounts.facts[account].get(name))
    ]
    await _insert(
        connection,
        "INSERT INTO scoring.fact (partition, account_no, name, time_ms, event_id, value)"
        " SELECT $1, * FROM unnest($2::int[], $3::text[], $4::bigint[], $5::text[], $6::jsonb[])"
        " ON CONFLICT (partition, account_no, name) DO UPDATE SET"
        " time_ms = excluded.time_ms, event_id = excluded.event_id, value = excluded.value",
        state.partition,
        known,
    )
    await _insert(
        connection,
        "DELETE FROM scoring.fact f USING unnest($2::int[], $3::text[]) AS gone (account_no, name)"
        " WHERE f.partition = $1 AND f.account_no = gone.account_no AND f.name = gone.name",
        state.partition,
        [(account, name) for account, name in effects.facts if name not in accounts.facts[account]],
    )


async def _save_signals(connection: AsyncConnection, state: State, effects: Effects) -> None:
    await _insert(
        connection,
        "INSERT INTO scoring.day_sum (partition, signal_no, day, account_no, value)"
        " SELECT $1, * FROM unnest($2::int[], $3::int[], $4::int[], $5::bigint[])"
        " ON CONFLICT (partition, day, signal_no, account_no) DO UPDATE SET value = excluded.value",
        state.partition,
        _sum_rows(state, effects),
    )
    await _insert(
        connection,
        "INSERT INTO scoring.day_set"
        " (partition, signal_no, account_no, thing, at_day, low, high)"
        " SELECT $1, * FROM unnest($2::int[], $3::int[], $4::bigint[], $5::int[],"
        " $6::bigint[], $7::bigint[])"
        " ON CONFLICT (partition, signal_no, account_no, thing) DO UPDATE SET"
        " at_day = excluded.at_day, low = excluded.low, high = excluded.high",
        state.partition,
        _thing_rows(state, effects),
    )
    await _insert(
        connection,
        "INSERT INTO scoring.last_day (partition, signal_no, account_no, day)"
        " SELECT $1, * FROM unnest($2::int[], $3::int[], $4::int[])"
        " ON CONFLICT (partition, signal_no, account_no) DO UPDATE SET day = excluded.day",
        state.partition,
        _last_day_rows(state, effects),
    )


def _gathered(touched: Iterable[tuple[int, IntArray]]) -> dict[int, IntArray]:
    """Distinct numbers by signal."""
    by_signal: dict[int, list[IntArray]] = {}
    for number, numbers in touched:
        by_signal.setdefault(number, []).append(numbers)
    return {number: np.unique(np.concatenate(parts)) for number, parts in by_signal.items()}


def _sum_rows(state: State, effects: Effects) -> Iterable[Sequence[Any]]:
    count = max(1, state.accounts.count)
    cells = _gathered((number, days * count + at) for number, at, days in effects.sums)
    for number, numbers in cells.items():
        kept = state.signals[number]
        assert isinstance(kept, DaySums)
        days, accounts = np.divmod(numbers, count)
        inside = days >= state.day - HORIZON_DAYS
        days, accounts = days[inside], accounts[inside]
        values = kept.values[days % len(kept.values), accounts]
        for row in zip(days.tolist(), accounts.tolist(), values.tolist(), strict=True):
            yield kept.signal_no, *row


def _thing_rows(state: State, effects: Effects) -> Iterable[Sequence[Any]]:
    for number, things in _gathered(effects.things).items():
        kept = state.signals[number]
        assert isinstance(kept, DaySets)
        keys = kept.things.hashes[things].view(np.int64)
        low, high = kept.low[things].view(np.int64), kept.high[things].view(np.int64)
        owners = kept.owners[things].tolist()
        for owner, key, *bits in zip(
            owners, keys.tolist(), low.tolist(), high.tolist(), strict=True
        ):
            yield kept.signal_no, owner, key, state.day, *bits


def _last_day_rows(state: State, effects: Effects) -> Iterable[Sequence[Any]]:
    for number, accounts in _gathered(effects.last_days).items():
        kept = state.signals[number]
        assert isinstance(kept, LastDays)
        days = kept.days[accounts].tolist()
        for account, day in zip(accounts.tolist(), days, strict=True):
            yield kept.signal_no, account, day


async def _save_health(connection: AsyncConnection, state: State, effects: Effects) -> None:
    await _insert(
        connection,
        "INSERT INTO scoring.health"
        " (partition, account_no, account_id, sequence, score, band, record, time_parts)"
        " SELECT $1, * FROM unnest($2::int[], $3::text[], $4::bigint[], $5::float8[],"
        " $6::text[], $7::jsonb[], $8::jsonb[])"
        " ON CONFLICT (partition, account_no) DO UPDATE SET sequence = excluded.sequence,"
        " score = excluded.score, band = excluded.band, record = excluded.record,"
        " time_parts = excluded.time_parts",
        state.partition,
        _health_rows(state, effects),
    )
    await _insert(
        connection,
        "INSERT INTO scoring.history (partition, account_no, day, score_tenths, band,"
        " coverage_hundredths, scorecard, revision)"
        " SELECT $1, * FROM unnest($2::int[], $3::int[], $4::smallint[], $5::text[],"
        " $6::smallint[], $7::text[], $8::text[])",
        state.partition,
        [row._replace(tenths=None if row.tenths < 0 else row.tenths) for row in effects.history],
    )


def _health_rows(state: State, effects: Effects) -> Iterable[Sequence[Any]]:
    assert state.plan is not None or not effects.health
    names = [column.name for column in state.plan.columns] if state.plan else []
    for account in sorted(effects.health):
        health = state.accounts.published[account]
        assert health is not None
        parts = zip(names, state.time_parts[account].tolist(), strict=True)
        yield (
            account,
            health.account_id,
            health.sequence,
            health.score,
            health.band,
            encode(health).decode(),
            encode({name: part for name, part in parts if part}).decode(),
        )


async def _save_log(
    connection: AsyncConnection, claim: Claim, state: State, effects: Effects
) -> None:
    """What was seen, what waits, what goes out, what was put aside."""
    await _insert(
        connection,
        "INSERT INTO scoring.seen (partition, bucket, chunk, hashes)"
        " SELECT $1, * FROM unnest($2::int[], $3::bigint[], $4::bytea[])",
        state.partition,
        [
            (bucket, effects.number, np.concatenate(hashes).astype("<u8").tobytes())
            for bucket, hashes in effects.seen.items()
        ],
    )
    await _run(
        connection,
        "DELETE FROM scoring.held WHERE partition = $1 AND day = ANY($2::int[])",
        state.partition,
        effects.released_days,
    )
    await _insert(
        connection,
        "INSERT INTO scoring.held (partition, day, number, key, value)"
        " SELECT $1, * FROM unnest($2::int[], $3::bigint[], $4::bytea[], $5::bytea[])",
        state.partition,
        [held for held in effects.held if held.day in state.held],
    )
    if effects.outbox:
        await _run(
            connection,
            "INSERT INTO scoring.outbox (partition, number, records) VALUES ($1, $2, $3)",
            state.partition,
            effects.number,
            pack(effects.outbox),
        )
    await _insert(
        connection,
        "INSERT INTO scoring.quarantine (partition, log_id, log_offset, reason, value)"
        " SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bytea[])"
        " ON CONFLICT DO NOTHING",
        state.partition,
        [(claim.log_id, *row) for row in effects.quarantined],
    )


def pack(records: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Outbox records as one value."""
    return zlib.compress(msgspec.msgpack.encode(records), 1)


def unpack(packed: bytes) -> list[tuple[bytes, bytes]]:
    """The records of an outbox row."""
    return msgspec.msgpack.decode(zlib.decompress(packed), type=list[tuple[bytes, bytes]])


async def _forget(connection: AsyncConnection, state: State) -> None:
    """Drop what left the horizon."""
    oldest = state.day - HORIZON_DAYS
    await _run(
        connection,
        "DELETE FROM scoring.day_sum WHERE partition = $1 AND day < $2",
        state.partition,
        oldest,
    )
    await _run(
        connection,
        "DELETE FROM scoring.seen WHERE partition = $1 AND bucket < $2",
        state.partition,
        oldest * 2,
    )
    await _run(
        connection,
        "DELETE FROM scoring.day_set WHERE partition = $1 AND at_day < $2",
        state.partition,
        oldest,
    )


async def mark_relayed(connection: AsyncConnection, held: Claim, number: int) -> None:
    """Forget the outbox rows up to `number`: the log has their records."""
    await _run(
        connection,
        "DELETE FROM scoring.outbox WHERE partition = $1 AND number <= $2",
        held.partition,
        number,
    )
