"""Saving a partition: a step's rows, in one transaction with the offset.

Every statement names its partition, and no other: `$1` is always the partition.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.scoring.rows import Rows
from services.scoring.tables import backfill, erased, freshness, published, success, users
from services.scoring.tables.partition import Columns, Writer
from shared import rehearsal
from shared.offsets import Claim, advance


async def save(connection: AsyncConnection, held: Claim, offset: int, rows: Rows) -> Claim:
    """Write what a step changed; the fence comes first. Raises Fenced.

    Returns the claim at the new offset.
    """
    claim = await advance(connection, held, offset)
    rehearsal.reach("scoring.after-fence")
    writer = Writer(connection, claim.partition)
    await writer.run(
        "UPDATE scoring.partition SET clock = $2, counted = counted + $3,"
        " duplicates = duplicates + $4, too_old = too_old + $5 WHERE partition = $1",
        rows.clock,
        rows.counted,
        rows.duplicates,
        rows.too_old,
    )
    await _save_configuration(writer, rows)
    await _save_accounts(writer, rows)
    await _save_signals(writer, rows)
    await users.save(writer, rows.users)
    await success.unname(writer, rows.success)
    rehearsal.reach("scoring.mid-rows")
    await published.save(writer, rows.published)
    await success.save(writer, rows.success)
    await _save_history(writer, rows)
    await freshness.save(writer, rows.freshness)
    if rows.oldest_day is not None:
        await _forget(writer, rows.oldest_day)
        await users.forget(writer, rows.oldest_day)
    await _save_log(writer, claim, rows)
    await erased.save(writer, rows.erased)
    await backfill.save(writer, rows.backfill, claim.log_id)
    return claim


async def mark_relayed(connection: AsyncConnection, held: Claim, number: int) -> None:
    """Forget the outbox rows up to `number`: the log has their records."""
    writer = Writer(connection, held.partition)
    await writer.run("DELETE FROM scoring.outbox WHERE partition = $1 AND number <= $2", number)


async def save_log_id(connection: AsyncConnection, held: Claim) -> None:
    """Remember that the log has every account's newest record."""
    writer = Writer(connection, held.partition)
    await writer.run(
        "UPDATE scoring.partition SET relayed_log_id = $2,"
        " first_log_id = coalesce(first_log_id, $2) WHERE partition = $1",
        held.log_id,
    )


async def save_partitions(connection: AsyncConnection, held: Claim, partitions: int) -> None:
    """Remember of how many partitions the log is that the state is made from."""
    writer = Writer(connection, held.partition)
    await writer.run(
        "UPDATE scoring.partition SET partitions = $2 WHERE partition = $1", partitions
    )


async def _save_configuration(writer: Writer, rows: Rows) -> None:
    if rows.configuration is not None:
        await writer.run("DELETE FROM scoring.configuration WHERE partition = $1")
        await writer.rows(
            "INSERT INTO scoring.configuration (partition, place, record)"
            " SELECT $1, * FROM unnest($2::text[], $3::bytea[])",
            rows.configuration,
        )
    if rows.signals is not None:
        await _save_plan(writer, rows.signals)


async def _save_plan(writer: Writer, signals: Columns) -> None:
    """Signals that the plan has; what is kept of others goes."""
    numbers = signals[0] if signals else []
    for table in ("day_sum", "day_set", "active_day"):
        await writer.run(
            f"DELETE FROM scoring.{table} WHERE partition = $1 AND NOT signal_no = ANY($2::int[])",
            numbers,
        )
    await writer.run("DELETE FROM scoring.signal WHERE partition = $1")
    await writer.rows(
        "INSERT INTO scoring.signal (partition, signal_no, definition, since_day)"
        " SELECT $1, * FROM unnest($2::int[], $3::text[], $4::int[])",
        signals,
    )


async def _save_accounts(writer: Writer, rows: Rows) -> None:
    await writer.rows(
        "INSERT INTO scoring.account (partition, account_no, account_id, created_day)"
        " SELECT $1, * FROM unnest($2::int[], $3::text[], $4::int[])",
        rows.accounts,
    )
    await writer.rows(
        "INSERT INTO scoring.fact (partition, account_no, name, time_ms, event_id, value)"
        " SELECT $1, * FROM unnest($2::int[], $3::text[], $4::bigint[], $5::text[], $6::json[])"
        " ON CONFLICT (partition, account_no, name) DO UPDATE SET"
        " time_ms = excluded.time_ms, event_id = excluded.event_id, value = excluded.value",
        rows.facts,
    )
    await writer.rows(
        "DELETE FROM scoring.fact f USING unnest($2::int[], $3::text[]) AS gone (account_no, name)"
        " WHERE f.partition = $1 AND f.account_no = gone.account_no AND f.name = gone.name",
        rows.facts_gone,
    )


async def _save_signals(writer: Writer, rows: Rows) -> None:
    await writer.rows(
        "INSERT INTO scoring.day_sum (partition, signal_no, day, account_no, value)"
        " SELECT $1, * FROM unnest($2::int[], $3::int[], $4::int[], $5::bigint[])"
        " ON CONFLICT (partition, day, signal_no, account_no) DO UPDATE SET value = excluded.value",
        rows.day_sums,
    )
    await writer.rows(
        "INSERT INTO scoring.day_set"
        " (partition, signal_no, account_no, thing, at_day, low, high)"
        " SELECT $1, * FROM unnest($2::int[], $3::int[], $4::bigint[], $5::int[],"
        " $6::bigint[], $7::bigint[])"
        " ON CONFLICT (partition, signal_no, account_no, thing) DO UPDATE SET"
        " at_day = excluded.at_day, low = excluded.low, high = excluded.high",
        rows.day_sets,
    )
    await writer.rows(
        "INSERT INTO scoring.active_day (partition, signal_no, account_no, at_day, low, high,"
        " first_day, last_day, faded) SELECT $1, * FROM unnest($2::int[], $3::int[], $4::int[],"
        " $5::bigint[], $6::bigint[], $7::int[], $8::int[], $9::float8[])"
        " ON CONFLICT (partition, signal_no, account_no) DO UPDATE SET"
        " at_day = excluded.at_day, low = excluded.low, high = excluded.high,"
        " first_day = excluded.first_day, last_day = excluded.last_day, faded = excluded.faded",
        rows.active_days,
    )


async def _save_history(writer: Writer, rows: Rows) -> None:
    await writer.rows(
        "INSERT INTO scoring.history (partition, account_no, day, score_tenths, band,"
        " coverage_hundredths, scorecard, revision, stale)"
        " SELECT $1, * FROM unnest($2::int[], $3::int[], $4::smallint[], $5::text[],"
        " $6::smallint[], $7::text[], $8::text[], $9::boolean[])",
        rows.history,
    )


async def _save_log(writer: Writer, claim: Claim, rows: Rows) -> None:
    """What was seen, what waits, what goes out, what was put aside."""
    await writer.rows(
        "INSERT INTO scoring.seen (partition, bucket, chunk, hashes)"
        " SELECT $1, * FROM unnest($2::int[], $3::bigint[], $4::bytea[])",
        rows.seen,
    )
    if rows.released_days:
        await writer.run(
            "DELETE FROM scoring.held WHERE partition = $1 AND day = ANY($2::int[])",
            rows.released_days,
        )
    await writer.rows(
        "INSERT INTO scoring.held (partition, day, number, key, value, log_offset)"
        " SELECT $1, * FROM unnest($2::int[], $3::bigint[], $4::bytea[], $5::bytea[],"
        " $6::bigint[])",
        rows.held,
    )
    if rows.outbox is not None:
        await writer.run(
            "INSERT INTO scoring.outbox (partition, number, records) VALUES ($1, $2, $3)",
            rows.number,
            rows.outbox,
        )
    if rows.quarantined:
        await writer.run(
            "INSERT INTO scoring.quarantine (partition, log_id, log_offset, reason, value)"
            " SELECT $1, $2, * FROM unnest($3::bigint[], $4::text[], $5::bytea[])"
            " ON CONFLICT DO NOTHING",
            claim.log_id,
            *rows.quarantined,
        )


async def _forget(writer: Writer, oldest_day: int) -> None:
    """Drop what left the horizon."""
    await writer.run(
        "DELETE FROM scoring.day_sum WHERE partition = $1 AND day < $2",
        oldest_day,
    )
    await writer.run(
        "DELETE FROM scoring.seen WHERE partition = $1 AND bucket < $2",
        oldest_day * 2,
    )
    await freshness.forget(writer, oldest_day)
    await writer.run(
        "DELETE FROM scoring.day_set WHERE partition = $1 AND at_day < $2",
        oldest_day,
    )
