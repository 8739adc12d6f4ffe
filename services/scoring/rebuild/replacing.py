"""The rebuilt state in the place of the one that is kept, behind the fence."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.scoring.rebuild.building import OWNER
from services.scoring.rebuild.shadow import SCHEMA

OF_ACCOUNTS = ("published", "health", "signal_record", "success")
"""What was published, which nobody takes back: scoring publishes what differs from it."""

KEPT = (*OF_ACCOUNTS, "heading", "outbox", "learned", "partition")


async def lock(connection: AsyncConnection, partition: int) -> int:
    """Hold the partition until the transaction ends; the offset up to which it is."""
    found = await connection.exec_driver_sql(
        "SELECT next FROM scoring.partition WHERE partition = $1 FOR UPDATE", (partition,)
    )
    return int(found.scalar_one())


async def replace(connection: AsyncConnection, partition: int, tables: Sequence[str]) -> None:
    """Take over the shadow's rows, under the lock; whoever owns the partition is fenced.

    What was published stays, and sequences go on: on loading, every account is compared with it.
    """

    async def run(sql: str) -> None:
        await connection.exec_driver_sql(sql, (partition,))

    await _renumber(connection, partition)
    for table in tables:
        if table not in KEPT:
            await run(f"DELETE FROM scoring.{table} WHERE partition = $1")
            await run(
                f"INSERT INTO scoring.{table} SELECT * FROM {SCHEMA}.{table} WHERE partition = $1"
            )
    await _publish_unknown(connection, partition)
    await run(
        "UPDATE scoring.partition p SET epoch = p.epoch + 1, owner = '" + OWNER + "',"
        " clock = jsonb_set(s.clock, '{next_number}',"
        " greatest(s.clock->'next_number', p.clock->'next_number')),"
        " counted = s.counted, duplicates = s.duplicates, too_old = s.too_old"
        f" FROM {SCHEMA}.partition s WHERE p.partition = $1 AND s.partition = $1"
    )


async def _renumber(connection: AsyncConnection, partition: int) -> None:
    """What stays gets the numbers that accounts have in the shadow; of others nothing stays."""
    numbers = (
        "SELECT o.account_no AS before, n.account_no AS after FROM scoring.account o"
        f" JOIN {SCHEMA}.account n USING (partition, account_id) WHERE o.partition = $1"
    )
    for table in OF_ACCOUNTS:
        for sql in (
            f"DELETE FROM scoring.{table} WHERE partition = $1 AND NOT account_no IN"
            f" (SELECT before FROM ({numbers}) m)",
            f"UPDATE scoring.{table} t SET account_no = -1 - m.after FROM ({numbers}) m"
            " WHERE t.partition = $1 AND t.account_no = m.before AND m.before <> m.after",
            f"UPDATE scoring.{table} SET account_no = -1 - account_no"
            " WHERE partition = $1 AND account_no < 0",
        ):
            await connection.exec_driver_sql(sql, (partition,))


async def _publish_unknown(connection: AsyncConnection, partition: int) -> None:
    """Of accounts whose publications were gone, those that the log makes; no sequence falls."""
    unknown = (
        "s.partition = $1 AND NOT s.account_no IN"
        " (SELECT account_no FROM scoring.{} WHERE partition = $1)"
    )
    for sql in (
        "INSERT INTO scoring.heading (partition, heading_no, scorecard, revision, band)"
        " SELECT $1, (SELECT coalesce(max(heading_no), -1) FROM scoring.heading"
        " WHERE partition = $1) + row_number() OVER (), scorecard, revision, band FROM"
        f" (SELECT scorecard, revision, band FROM {SCHEMA}.heading WHERE partition = $1 EXCEPT"
        " SELECT scorecard, revision, band FROM scoring.heading WHERE partition = $1) fresh",
        f"INSERT INTO scoring.signal_record SELECT * FROM {SCHEMA}.signal_record s"
        f" WHERE {unknown.format('published')} ON CONFLICT DO NOTHING",
        "INSERT INTO scoring.published SELECT (jsonb_populate_record(NULL::scoring.published,"
        " to_jsonb(s) || jsonb_build_object('heading_no', h.heading_no))).*"
        f" FROM {SCHEMA}.published s JOIN {SCHEMA}.heading sh USING (partition, heading_no)"
        " JOIN scoring.heading h ON h.partition = $1 AND h.scorecard = sh.scorecard"
        " AND h.revision = sh.revision AND h.band IS NOT DISTINCT FROM sh.band"
        f" WHERE {unknown.format('published')}",
        f"INSERT INTO scoring.health SELECT * FROM {SCHEMA}.health s"
        f" WHERE {unknown.format('health')}",
        f"INSERT INTO scoring.success SELECT * FROM {SCHEMA}.success s"
        f" WHERE {unknown.format('success')}",
        "UPDATE scoring.published p SET sequence = s.sequence"
        f" FROM {SCHEMA}.published s WHERE p.partition = $1 AND s.partition = $1"
        " AND s.account_no = p.account_no AND s.sequence > p.sequence",
    ):
        await connection.exec_driver_sql(sql, (partition,))
