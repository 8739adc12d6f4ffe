"""Reading a partition: what a batch, or a user's act, touches of it and no more."""

from collections.abc import Iterable

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.alert import Alert
from services.alerts.records import Entry, News, Rulebook, Time, rulebook
from services.alerts.rules import Standing
from services.alerts.state import Newest, State

EVERY_ACCOUNT = None
_standing = msgspec.json.Decoder(Standing).decode
_alert = msgspec.json.Decoder(Alert).decode


async def load(connection: AsyncConnection, partition: int, entries: Iterable[Entry]) -> State:
    """What the entries touch: their accounts, and those with a timer that they make due.

    A configuration, and going live, touch every account. Call it under the lock of the partition's
    row.
    """
    accounts: set[str] = set()
    until_ms = 0
    everything = goes_live = False
    for entry in entries:
        match entry:
            case News():
                accounts.add(entry.health.account_id)
                until_ms = max(until_ms, entry.at_ms)
            case Time():
                until_ms = max(until_ms, entry.at_ms)
                goes_live = goes_live or entry.live
            case Rulebook():
                everything = True
    if everything or (goes_live and not await _is_live(connection, partition)):
        return await load_accounts(connection, partition, EVERY_ACCOUNT)
    due = await connection.exec_driver_sql(
        "SELECT DISTINCT account_id FROM alerts.standing s"
        " JOIN alerts.partition p ON p.partition = s.partition"
        " WHERE s.partition = $1 AND s.due_ms <= greatest($2::bigint, p.clock_ms)",
        (partition, until_ms),
    )
    return await load_accounts(connection, partition, accounts.union(due.scalars()))


async def load_accounts(
    connection: AsyncConnection, partition: int, accounts: Iterable[str] | None
) -> State:
    """The partition's clock and configuration, and all that is known of the accounts."""
    state = await _load_partition(connection, partition)
    chosen = "partition = $1"
    values: tuple[object, ...] = (partition,)
    if accounts is not EVERY_ACCOUNT:
        chosen += " AND account_id = ANY($2::text[])"
        values = (partition, list(accounts))
    for row in await connection.exec_driver_sql(
        f"SELECT account_id, sequence, health FROM alerts.account WHERE {chosen}", values
    ):
        state.accounts[row.account_id] = Newest(row.sequence, row.health)
    for (record,) in await connection.exec_driver_sql(
        f"SELECT record::text FROM alerts.standing WHERE {chosen}", values
    ):
        standing = _standing(record)
        state.standings[standing.account_id, standing.rule, standing.subject] = standing
    for (record,) in await connection.exec_driver_sql(
        "SELECT a.record::text FROM alerts.alert a JOIN alerts.standing s"
        " USING (partition, account_id, rule, subject)"
        f" WHERE {chosen} AND a.episode >= s.episode - 1",
        values,
    ):
        alert = _alert(record)
        state.alerts[alert.id] = alert
    return state


async def _load_partition(connection: AsyncConnection, partition: int) -> State:
    row = (
        await connection.execute(
            text(
                "SELECT clock_ms, live, tick_ms, configuration FROM alerts.partition"
                " WHERE partition = :partition"
            ),
            {"partition": partition},
        )
    ).one()
    book = None if row.configuration is None else rulebook(row.configuration)
    return State(partition, row.clock_ms, row.live, row.tick_ms, book)


async def _is_live(connection: AsyncConnection, partition: int) -> bool:
    rows = await connection.exec_driver_sql(
        "SELECT live FROM alerts.partition WHERE partition = $1", (partition,)
    )
    return bool(rows.scalar_one())


async def lock(connection: AsyncConnection, partition: int) -> None:
    """Take the partition's row: until the transaction ends, the pipeline and users wait."""
    await connection.execute(
        text("SELECT 1 FROM alerts.partition WHERE partition = :partition FOR UPDATE"),
        {"partition": partition},
    )
