"""What is known of a notification `c` before it goes: is it its turn, and is it still so."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.notifications import FIRES

BEHIND_MS = 5 * 60_000
"""While a live partition's clock is further behind the wall than this, its notes wait."""

REACHED = (
    "NOT EXISTS (SELECT 1 FROM alerts.partition p WHERE p.partition = c.partition"
    f" AND p.live AND p.tick_ms < CAST(:now_ms AS bigint) - {BEHIND_MS})"
)
LANE = (
    "e.partition = c.partition AND e.alert_id = c.alert_id AND e.destination = c.destination"
    " AND e.recipient = c.recipient"
)
HEARD = (
    "coalesce((SELECT e.kind NOT IN ('resolved', 'closed') FROM alerts.notification e"
    f" WHERE {LANE} AND e.number < c.number AND (e.status = 'sent' OR e.maybe_duplicate)"
    " ORDER BY e.number DESC LIMIT 1), false)"
)
"""Whether what went the way of `c` before it said that its alert is open."""
IS_OPEN = (
    "EXISTS (SELECT 1 FROM alerts.alert a WHERE a.partition = c.partition AND a.id = c.alert_id"
    " AND a.state IN ('firing', 'recovering'))"
)
NOTE_IS_UNTRUE = (
    f"SELECT p.live AND CASE WHEN NOT :is_fire THEN NOT {HEARD} ELSE NOT {IS_OPEN}"
    # A newer one of the same alert says more.
    f" OR EXISTS (SELECT 1 FROM alerts.notification e WHERE {LANE} AND e.number > c.number"
    " AND e.kind = ANY(:fires) AND e.status IN ('held', 'queued', 'retry')) END"
    " FROM alerts.notification c JOIN alerts.partition p ON p.partition = c.partition"
    " WHERE c.partition = :partition AND c.id = :id"
)
DIGEST_IS_UNTRUE = (
    "SELECT NOT EXISTS (SELECT 1 FROM alerts.notification c WHERE c.digest_id = :id"
    f" AND (c.kind <> ALL(:fires) OR {IS_OPEN}))"
)


@dataclass(frozen=True)
class Leased:
    """A notification that is ours to send until its lease ends."""

    partition: int
    id: str
    alert_id: str | None  # of a digest there is none
    number: int
    destination: str
    recipient: str
    kind: str
    body: bytes
    attempts: int
    maybe_duplicate: bool
    token: str


async def is_untrue(connection: AsyncConnection, leased: Leased) -> bool:
    """Whether what it says is not so any more, or says nothing to who never heard of the alert.

    What may have arrived counts as heard. A history that is delivered runs far ahead of its
    delivery: there, all is sent that would have been sent live.
    """
    if leased.maybe_duplicate:
        return False
    sql = DIGEST_IS_UNTRUE if leased.alert_id is None else NOTE_IS_UNTRUE
    rows = await connection.execute(
        text(sql),
        {
            "partition": leased.partition,
            "id": leased.id,
            "fires": sorted(FIRES),
            "is_fire": leased.kind in FIRES,
        },
    )
    return bool(rows.scalar_one())
