"""What the API reads: alerts, their events, notifications, and how far a barrier has come."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.alert import Alert, Event
from services.alerts.rules import OPEN
from shared.times import iso_time

_alert = msgspec.json.Decoder(Alert).decode
_event = msgspec.json.Decoder(Event).decode


@dataclass(frozen=True)
class Page:
    """Where a list goes on: after what has this time and id."""

    at_ms: int
    id: str


async def select_alerts(
    connection: AsyncConnection, filters: Mapping[str, str], after: Page | None, limit: int
) -> list[Alert]:
    """Alerts of these columns' values, the newest first; without `state` the open ones."""
    conditions = [f"{name} = :{name}" for name in filters]
    values: dict[str, Any] = {**filters, "limit": limit}
    if "state" not in filters:
        conditions.append("state = ANY(:open)")
        values["open"] = sorted(OPEN)
    if after:
        conditions.append("(-began_ms, id) > (-CAST(:after_ms AS bigint), :after_id)")
        values |= {"after_ms": after.at_ms, "after_id": after.id}
    rows = await connection.execute(
        text(
            f"SELECT record::text FROM alerts.alert WHERE {' AND '.join(conditions)}"
            " ORDER BY began_ms DESC, id LIMIT :limit"
        ),
        values,
    )
    return [_alert(record) for record in rows.scalars()]


async def select_alert(connection: AsyncConnection, alert_id: str) -> tuple[int, Alert] | None:
    """(partition, alert); None if there is no such alert."""
    row = (
        await connection.execute(
            text("SELECT partition, record::text AS record FROM alerts.alert WHERE id = :id"),
            {"id": alert_id},
        )
    ).one_or_none()
    return (row.partition, _alert(row.record)) if row else None


async def select_events(connection: AsyncConnection, partition: int, alert_id: str) -> list[Event]:
    """The events of an alert, in their order."""
    rows = await connection.execute(
        text(
            "SELECT record::text FROM alerts.event"
            " WHERE partition = :partition AND alert_id = :id ORDER BY number"
        ),
        {"partition": partition, "id": alert_id},
    )
    return [_event(record) for record in rows.scalars()]


async def select_notifications(
    connection: AsyncConnection, filters: Mapping[str, str], after: Page | None, limit: int
) -> list[tuple[Page, dict[str, Any]]]:
    """Notifications of these columns' values, the newest first, each with its place."""
    conditions = ["true", *(f"{name} = :{name}" for name in filters)]
    values: dict[str, Any] = {**filters, "limit": limit}
    if after:
        conditions.append("(-at_ms, id) > (-CAST(:after_ms AS bigint), :after_id)")
        values |= {"after_ms": after.at_ms, "after_id": after.id}
    rows = await connection.execute(
        text(
            "SELECT id, alert_id, destination, recipient, kind, at_ms, status, digest_id, attempts,"
            " next_attempt_ms, sent_ms, maybe_duplicate, error, body FROM alerts.notification"
            f" WHERE {' AND '.join(conditions)} ORDER BY at_ms DESC, id LIMIT :limit"
        ),
        values,
    )
    return [
        (
            Page(row.at_ms, row.id),
            {
                "id": row.id,
                "alert_id": row.alert_id,
                "destination": row.destination,
                "recipient": row.recipient or None,
                "kind": row.kind,
                "at": iso_time(row.at_ms),
                "status": row.status,
                "digest_id": row.digest_id,
                "attempts": row.attempts,
                "next_attempt_at": iso_time(row.next_attempt_ms) if row.status == "retry" else None,
                "sent_at": None if row.sent_ms is None else iso_time(row.sent_ms),
                "maybe_duplicate": row.maybe_duplicate,
                "error": row.error,
                "body": msgspec.json.decode(row.body),
            },
        )
        for row in rows
    ]


async def select_barrier(connection: AsyncConnection, barrier_id: str) -> tuple[int, int]:
    """(partitions of the current log, how many of them have handled the barrier)."""
    row = (
        await connection.execute(
            text(
                "SELECT coalesce(max(current.partitions), 0) AS partitions, count(b.id) AS seen"
                " FROM (SELECT log_id, partitions FROM alerts.partition"
                " ORDER BY claimed_at DESC LIMIT 1) AS current"
                " LEFT JOIN alerts.barrier b ON b.log_id = current.log_id AND b.id = :id"
            ),
            {"id": barrier_id},
        )
    ).one()
    return row.partitions, row.seen
