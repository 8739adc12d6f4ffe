"""What could not be delivered goes to the next destination, and its end after it."""

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.delivery.truth import LANE, Leased
from services.alerts.digests import Line
from services.alerts.notifications import ENDS, notification_id
from services.alerts.routing import Directory


async def pass_on(
    connection: AsyncConnection, leased: Leased | Line, status: str, directory: Directory
) -> str | None:
    """Let a notification that ended with `status` go elsewhere, if it is to; where it goes.

    A digest that is dead is made anew there, of the same lines. The end of an alert also goes
    wherever something of the alert went instead: there it is told if that was.
    """
    if status != "dead" and not await _follows_the_dead(connection, leased):
        return None
    destination = next_destination(directory, leased.destination)
    if destination is None:
        return None
    rows = await connection.execute(
        text(
            "SELECT partition, id, alert_id, number, kind, at_ms, body FROM alerts.notification"
            " WHERE alert_id IS NOT NULL"
            " AND (partition = :partition AND id = :id OR digest_id = :id)"
        ),
        {"partition": leased.partition, "id": leased.id},
    )
    for row in rows.all():
        await _repeat(connection, row, destination, directory, held=leased.alert_id is None)
    return destination


def next_destination(directory: Directory, after: str) -> str | None:
    """Where a notification goes that could not be delivered to a destination."""
    chain = directory.routing.fallback_to
    later = chain[chain.index(after) + 1 :] if after in chain else chain
    return next(iter(later), None)


async def _follows_the_dead(connection: AsyncConnection, leased: Leased | Line) -> bool:
    if leased.kind not in ENDS:
        return False
    rows = await connection.execute(
        text(
            "SELECT EXISTS (SELECT 1 FROM alerts.notification e, alerts.notification c"
            f" WHERE {LANE} AND e.number < c.number AND e.status = 'dead'"
            " AND c.partition = :partition AND c.id = :id)"
        ),
        {"partition": leased.partition, "id": leased.id},
    )
    return bool(rows.scalar_one())


async def _repeat(
    connection: AsyncConnection,
    row: Row[tuple[int, str, str, int, str, int, bytes]],
    destination: str,
    directory: Directory,
    *,
    held: bool,
) -> None:
    """The same note for another destination; where that has it anyway, nothing happens."""
    body = msgspec.json.decode(row.body)
    lane = destination, directory.recipient(destination, body["data"]["owner"])
    name = notification_id(row.alert_id, row.number, row.kind, lane)
    body["data"]["notification_id"] = name
    await connection.execute(
        text(
            "INSERT INTO alerts.notification"
            " (partition, id, alert_id, number, destination, recipient, kind, at_ms, body, status)"
            " VALUES (:partition, :id, :alert_id, :number, :destination, :recipient, :kind, :at_ms,"
            " :body, :status) ON CONFLICT DO NOTHING"
        ),
        {
            "partition": row.partition,
            "id": name,
            "alert_id": row.alert_id,
            "number": row.number,
            "destination": lane[0],
            "recipient": lane[1],
            "kind": row.kind,
            "at_ms": row.at_ms,
            "body": msgspec.json.encode(body),
            "status": "held" if held else "queued",
        },
    )
