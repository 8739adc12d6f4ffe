"""Saving a partition: a decision's effects as rows."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.records import Quarantined
from services.alerts.rules import Way
from services.alerts.state import Effects, State
from shared.events import encode

STATUSES: dict[Way, str] = {"record": "recorded", "adopt": "held", "send": "queued"}


async def save(connection: AsyncConnection, state: State, effects: Effects) -> None:
    """Write what a decision changed; every statement names the partition and no other."""
    await _save_partition(connection, state, effects)
    await _save_accounts(connection, state, effects)
    await _save_alerts(connection, state, effects)
    await _save_notifications(connection, state, effects)


async def save_log(
    connection: AsyncConnection,
    place: tuple[int, str],
    barriers: Iterable[str],
    quarantined: Iterable[Quarantined],
) -> None:
    """Remember the barriers that came through and the records put aside: (partition, log id)."""
    partition, log_id = place
    await _insert(
        connection,
        "INSERT INTO alerts.barrier (partition, id, log_id)"
        " SELECT $1, * FROM unnest($2::text[], $3::text[])"
        " ON CONFLICT (partition, id) DO UPDATE SET log_id = excluded.log_id",
        partition,
        [(name, log_id) for name in dict.fromkeys(barriers)],
    )
    await _insert(
        connection,
        "INSERT INTO alerts.quarantine (partition, log_id, log_offset, reason, value)"
        " SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bytea[])"
        " ON CONFLICT DO NOTHING",
        partition,
        [(log_id, bad.offset, bad.reason, bad.value) for bad in quarantined],
    )


async def save_partitions(connection: AsyncConnection, partition: int, partitions: int) -> None:
    """Remember how many partitions the log has."""
    await connection.exec_driver_sql(
        "UPDATE alerts.partition SET partitions = $2 WHERE partition = $1", (partition, partitions)
    )


async def _insert(
    connection: AsyncConnection, sql: str, partition: int, rows: Iterable[Sequence[Any]]
) -> None:
    """Run a statement over `unnest` of the rows' columns: $1 is the partition, then the arrays."""
    arrays = [list(column) for column in zip(*rows, strict=True)]
    if arrays:
        await connection.exec_driver_sql(sql, (partition, *arrays))


async def _save_partition(connection: AsyncConnection, state: State, effects: Effects) -> None:
    await connection.exec_driver_sql(
        "UPDATE alerts.partition SET clock_ms = $2, live = $3, tick_ms = $4,"
        " repeated = repeated + $5"
        " WHERE partition = $1",
        (state.partition, state.clock_ms, state.live, state.tick_ms, effects.repeated),
    )
    if effects.configured and state.rulebook:
        await connection.exec_driver_sql(
            "UPDATE alerts.partition SET configuration = $2 WHERE partition = $1",
            (state.partition, state.rulebook.value),
        )


async def _save_accounts(connection: AsyncConnection, state: State, effects: Effects) -> None:
    await _insert(
        connection,
        "INSERT INTO alerts.account (partition, account_id, sequence, health)"
        " SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bytea[])"
        " ON CONFLICT (partition, account_id) DO UPDATE SET"
        " sequence = excluded.sequence, health = excluded.health",
        state.partition,
        [
            (account_id, newest.sequence, newest.value)
            for account_id in sorted(effects.accounts)
            for newest in (state.accounts[account_id],)
        ],
    )
    await _insert(
        connection,
        "INSERT INTO alerts.standing"
        " (partition, account_id, rule, subject, episode, due_ms, record)"
        " SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::bigint[],"
        " $7::jsonb[])"
        " ON CONFLICT (partition, account_id, rule, subject) DO UPDATE SET"
        " episode = excluded.episode, due_ms = excluded.due_ms, record = excluded.record",
        state.partition,
        [
            (*key, standing.episode, standing.due_ms, encode(standing).decode())
            for key in sorted(effects.standings)
            for standing in (state.standings[key],)
        ],
    )


async def _save_alerts(connection: AsyncConnection, state: State, effects: Effects) -> None:
    await connection.exec_driver_sql(
        "DELETE FROM alerts.alert WHERE partition = $1 AND id = ANY($2::text[])",
        (state.partition, [name for name in effects.alerts if name not in state.alerts]),
    )
    # What is over goes first: one open alert of a standing may follow another in one batch.
    changed = [state.alerts[name] for name in effects.alerts if name in state.alerts]
    for over in (True, False):
        await _insert(
            connection,
            "INSERT INTO alerts.alert (partition, id, account_id, rule, subject, episode, state,"
            " severity, owner, began_ms, record)"
            " SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::int[],"
            " $7::text[], $8::text[], $9::text[], $10::bigint[], $11::jsonb[])"
            " ON CONFLICT (partition, id) DO UPDATE SET state = excluded.state,"
            " severity = excluded.severity, owner = excluded.owner,"
            " began_ms = excluded.began_ms, record = excluded.record",
            state.partition,
            [
                (
                    alert.id,
                    alert.account_id,
                    alert.rule,
                    alert.subject,
                    alert.episode,
                    alert.state,
                    alert.severity,
                    alert.owner,
                    alert.began_ms,
                    encode(alert).decode(),
                )
                for alert in sorted(changed, key=lambda alert: alert.id)
                if (alert.state == "resolved") is over
            ],
        )
    await _insert(
        connection,
        "INSERT INTO alerts.event (partition, alert_id, number, record)"
        " SELECT $1, * FROM unnest($2::text[], $3::int[], $4::jsonb[])",
        state.partition,
        [(event.alert_id, event.number, encode(event).decode()) for event in effects.events],
    )


async def _save_notifications(connection: AsyncConnection, state: State, effects: Effects) -> None:
    await _insert(
        connection,
        "INSERT INTO alerts.notification"
        " (partition, id, alert_id, number, destination, recipient, kind, at_ms, body, status)"
        " SELECT $1, * FROM unnest($2::text[], $3::text[], $4::int[], $5::text[], $6::text[],"
        " $7::text[], $8::bigint[], $9::bytea[], $10::text[])",
        state.partition,
        [
            (
                note.id,
                note.alert_id,
                note.number,
                *note.lane,
                note.kind,
                note.at_ms,
                note.body,
                STATUSES[note.way],
            )
            for note in effects.notifications
        ],
    )
