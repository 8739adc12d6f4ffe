"""Memberships and parked events, as rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.accept import Membership, Outcome, Parked, SourceRecord

PAGE = 5_000
"""Parked events read at a time; a batch's joining users may have more, which follow at a tick."""

_PARKED = (
    "SELECT source_partition, log_offset, source, event_id, user_id, received_ms, since_ms,"
    " key, value FROM ingest.parked AS p WHERE source_partition = ANY($1)"
)


async def memberships_of(connection: AsyncConnection, users: Iterable[str]) -> list[Membership]:
    """What is known of these users."""
    rows = await _rows(
        connection,
        "SELECT user_id, account_id, joined, time, event_id FROM ingest.membership"
        " WHERE user_id = ANY($1)",
        list(users),
    )
    return [Membership(*row) for row in rows]


async def parked_of(
    connection: AsyncConnection, partitions: Iterable[int], users: Iterable[str]
) -> list[Parked]:
    """What waits for these users in these source partitions, in its order."""
    return await _parked(connection, "AND user_id = ANY($2)", list(partitions), list(users))


async def joined(connection: AsyncConnection, partition: int) -> list[Parked]:
    """What waits though its user belongs to an account by now."""
    return await _parked(
        connection,
        "AND EXISTS (SELECT FROM ingest.membership AS m WHERE m.user_id = p.user_id AND m.joined)",
        [partition],
    )


async def waited_since(connection: AsyncConnection, partition: int, until_ms: int) -> list[Parked]:
    """What has waited since `until_ms` or longer."""
    return await _parked(connection, "AND since_ms <= $2", [partition], until_ms)


async def save(connection: AsyncConnection, outcome: Outcome) -> None:
    """Write what a batch changed; the same batch twice is the same as once."""
    for partition, tick_ms in outcome.first_tick_ms.items():
        await start_waiting(connection, partition, tick_ms)
    await _insert(
        connection,
        "INSERT INTO ingest.membership AS m (user_id, account_id, joined, time, event_id)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::bool[], $4::text[], $5::text[])"
        " ON CONFLICT (user_id, account_id) DO UPDATE SET"
        " joined = excluded.joined, time = excluded.time, event_id = excluded.event_id"
        " WHERE (m.time, m.event_id) < (excluded.time, excluded.event_id)",
        [
            (one.user_id, one.account_id, one.joined, one.time, one.event_id)
            for _, one in sorted(outcome.memberships.changed.items())  # all lock rows in one order
        ],
    )
    await _insert(
        connection,
        "INSERT INTO ingest.parked (source_partition, log_offset, source, event_id, user_id,"
        " received_ms, since_ms, key, value) SELECT * FROM unnest($1::int[], $2::bigint[],"
        " $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bytea[],"
        " $9::bytea[]) ON CONFLICT DO NOTHING",
        [
            (*_key(one), one.user_id, one.received_ms, one.since_ms, *_original(one))
            for one in outcome.parked
        ],
    )
    await remove(connection, outcome.settled)


async def start_waiting(connection: AsyncConnection, partition: int, tick_ms: int) -> None:
    """A tick came: what was parked before it, and after the last one, waits from its time on."""
    await connection.exec_driver_sql(
        "UPDATE ingest.parked SET since_ms = $2 WHERE source_partition = $1 AND since_ms IS NULL",
        (partition, tick_ms),
    )


async def sources_of(connection: AsyncConnection, partition: int) -> Sequence[Any]:
    """(source, newest event time) of a source partition."""
    return await _rows(
        connection,
        "SELECT source, newest FROM ingest.source WHERE source_partition = $1 ORDER BY newest DESC",
        partition,
    )


async def save_sources(
    connection: AsyncConnection, partition: int, newest: Mapping[str, str]
) -> None:
    """Keep the newest event times of a source partition; they never fall."""
    await connection.exec_driver_sql(
        "INSERT INTO ingest.source AS s (source_partition, source, newest)"
        " SELECT $1, * FROM unnest($2::text[], $3::text[])"
        " ON CONFLICT (source_partition, source) DO UPDATE SET newest = excluded.newest"
        " WHERE s.newest < excluded.newest",
        (partition, list(newest), list(newest.values())),
    )


async def remove(connection: AsyncConnection, parked: Iterable[Parked]) -> None:
    """Forget parked events: they are in the log, accepted or refused."""
    await _insert(
        connection,
        "DELETE FROM ingest.parked AS p USING unnest($1::int[], $2::bigint[], $3::text[],"
        " $4::text[]) AS gone (source_partition, log_offset, source, event_id)"
        " WHERE p.source_partition = gone.source_partition AND p.log_offset = gone.log_offset"
        " AND p.source = gone.source AND p.event_id = gone.event_id",
        [_key(one) for one in parked],
    )


def _key(parked: Parked) -> tuple[int, int, str, str]:
    return parked.record.partition, parked.record.offset, parked.source, parked.event_id


def _original(parked: Parked) -> tuple[bytes | None, bytes | None]:
    return parked.record.key, parked.record.value


async def _parked(connection: AsyncConnection, which: str, *values: Any) -> list[Parked]:
    order = f" ORDER BY source_partition, received_ms, log_offset LIMIT {PAGE}"
    rows = await _rows(connection, f"{_PARKED} {which}{order}", *values)
    return [
        Parked(
            SourceRecord(row.source_partition, row.log_offset, row.key, row.value),
            row.user_id,
            row.source,
            row.event_id,
            row.received_ms,
            row.since_ms,
        )
        for row in rows
    ]


async def _rows(connection: AsyncConnection, sql: str, *values: Any) -> Sequence[Any]:
    return (await connection.exec_driver_sql(sql, values)).all()


async def _insert(connection: AsyncConnection, sql: str, rows: Iterable[Sequence[Any]]) -> None:
    """Run a statement over `unnest` of the rows' columns."""
    columns = tuple(list(column) for column in zip(*rows, strict=True))
    if columns:
        await connection.exec_driver_sql(sql, columns)
