"""Lines of digests: gathered for a short while, then told in one message for each owner."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.delivery.fallback import pass_on
from services.alerts.delivery.outbox import read_directory
from services.alerts.delivery.truth import HEARD, IS_OPEN, LANE, REACHED
from services.alerts.digests import Digest, Line, compose, settle
from services.alerts.notifications import ENDS

GATHER_MS = 15_000
"""How long a digest waits for more lines, from its first: partitions go live one after another."""
ONE_AT_A_TIME = 0x646967657374  # `digest`, among Postgres' advisory locks

HELD = (
    f"c.status = 'held' AND {REACHED}"
    f" AND NOT EXISTS (SELECT 1 FROM alerts.notification e WHERE {LANE} AND e.number < c.number"
    " AND e.status IN ('bundled', 'queued', 'retry', 'leased'))"
)


async def gather(connection: AsyncConnection, now_ms: int) -> int:
    """Make the digests whose time has come; how many. One sender at a time does this."""
    held = await connection.execute(
        text("SELECT 1 FROM alerts.notification WHERE status = 'held' LIMIT 1")
    )
    if held.first() is None or not await _is_ours(connection):
        return 0
    await connection.execute(
        text(
            "UPDATE alerts.notification c SET next_attempt_ms = :due_ms"
            f" WHERE c.next_attempt_ms = 0 AND {HELD}"
        ),
        {"now_ms": now_ms, "due_ms": now_ms + GATHER_MS},
    )
    rows = await connection.execute(
        text(
            "SELECT c.partition, c.id, c.alert_id, c.number, c.destination, c.recipient, c.kind,"
            f" c.at_ms, c.body, {IS_OPEN} AS is_open, {HEARD} AS heard"
            " FROM alerts.notification c"
            # All that goes there goes with the first: the owners of one address wait together.
            " JOIN (SELECT destination, recipient FROM alerts.notification WHERE status = 'held'"
            " GROUP BY 1, 2 HAVING min(nullif(next_attempt_ms, 0)) <= :now_ms) AS due"
            f" USING (destination, recipient) WHERE {HELD}"
        ),
        {"now_ms": now_ms},
    )
    kept, over = settle(Line(*row) for row in rows)
    digests = compose(kept)
    await _supersede(connection, over)
    for line in (line for line in (*kept, *over) if line.kind in ENDS):
        directory = await read_directory(connection, line.partition)
        await pass_on(connection, line, "superseded", directory)
    for digest in digests:
        await _save(connection, digest)
    return len(digests)


async def _is_ours(connection: AsyncConnection) -> bool:
    rows = await connection.execute(
        text("SELECT pg_try_advisory_xact_lock(:number)"), {"number": ONE_AT_A_TIME}
    )
    return bool(rows.scalar_one())


async def _supersede(connection: AsyncConnection, lines: Sequence[Line]) -> None:
    await connection.execute(
        text(
            "UPDATE alerts.notification SET status = 'superseded',"
            " error = 'It was no longer so when the digest was made.'"
            " WHERE id = ANY(:ids) AND status = 'held'"
        ),
        {"ids": [line.id for line in lines]},
    )


async def _save(connection: AsyncConnection, digest: Digest) -> None:
    """The digest is to be sent, and its lines are in it."""
    await connection.execute(
        text(
            "INSERT INTO alerts.notification (partition, id, number, destination, recipient, kind,"
            " at_ms, body, status) VALUES (:partition, :id, 0, :destination, :recipient, 'digest',"
            " :at_ms, :body, 'queued')"
        ),
        {
            "partition": digest.partition,
            "id": digest.id,
            "destination": digest.destination,
            "recipient": digest.recipient,
            "at_ms": digest.at_ms,
            "body": digest.body,
        },
    )
    await connection.execute(
        text(
            "UPDATE alerts.notification SET status = 'bundled', digest_id = :id"
            " WHERE id = ANY(:lines) AND status = 'held'"
        ),
        {"id": digest.id, "lines": list(digest.lines)},
    )
