"""The outbox: notifications claimed by their status with a lease, and what came of them."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.delivery.outcome import (
    THROTTLE_SECONDS,
    UNCONFIGURED_MS,
    Outcome,
    pause_ms,
)
from services.alerts.delivery.truth import LANE, REACHED, Leased
from services.alerts.records import rulebook
from services.alerts.routing import Directory

DUE = (
    "(c.status IN ('queued', 'retry') AND c.next_attempt_ms <= :now_ms"
    " OR c.status = 'leased' AND c.lease_until_ms <= :now_ms)"
    # Order within the lane, also between senders: nothing earlier is on its way.
    f" AND NOT EXISTS (SELECT 1 FROM alerts.notification e WHERE {LANE} AND e.number < c.number"
    " AND e.status IN ('held', 'bundled', 'queued', 'retry', 'leased'))"
    " AND NOT EXISTS (SELECT 1 FROM alerts.destination d"
    " WHERE d.name = c.destination AND d.wait_until_ms > :now_ms)"
    f" AND {REACHED}"
)


async def due_destinations(connection: AsyncConnection, now_ms: int) -> list[str]:
    """Destinations for which something is due, by name."""
    rows = await connection.execute(
        text(f"SELECT DISTINCT destination FROM alerts.notification c WHERE {DUE} ORDER BY 1"),
        {"now_ms": now_ms},
    )
    return list(rows.scalars())


async def waiting(connection: AsyncConnection, now_ms: int) -> tuple[int, int]:
    """How many notifications are not yet delivered; how long the oldest due one has been due, ms.

    A notification is due from when it was written, or from when it is to be tried again; a line
    of a digest from when the digest is to be made.
    """
    row = (
        await connection.execute(
            text(
                "SELECT count(*) AS number,"
                " min(greatest(at_ms, next_attempt_ms)) FILTER (WHERE status IN ('queued', 'retry')"
                " OR status = 'held' AND next_attempt_ms > 0) AS due_ms"
                " FROM alerts.notification"
                # In two parts, as its indexes are.
                " WHERE status IN ('queued', 'retry', 'leased') OR status = 'held'"
            )
        )
    ).one()
    return row.number, 0 if row.due_ms is None else max(0, now_ms - row.due_ms)


async def take(
    connection: AsyncConnection, destination: str, now_ms: int, lease: tuple[str, int]
) -> Leased | None:
    """Lease the destination's next notification for (token, milliseconds); None if there is none.

    Other senders skip it, and whatever comes after it in its lane.
    """
    token, lease_ms = lease
    row = (
        await connection.execute(
            text(
                "UPDATE alerts.notification n SET status = 'leased', lease_token = :token,"
                # A lease that ended on its own: its sender may have sent before it died.
                " maybe_duplicate = n.maybe_duplicate OR n.status = 'leased',"
                " lease_until_ms = :now_ms + :lease_ms"
                " FROM (SELECT c.partition, c.id FROM alerts.notification c"
                f" WHERE c.destination = :destination AND {DUE}"
                " ORDER BY c.next_attempt_ms, c.at_ms, c.alert_id, c.number"
                " LIMIT 1 FOR UPDATE OF c SKIP LOCKED) AS chosen"
                " WHERE n.partition = chosen.partition AND n.id = chosen.id"
                " RETURNING n.partition, n.id, n.alert_id, n.number, n.destination,"
                " n.recipient, n.kind,"
                " n.body, n.attempts, n.maybe_duplicate, n.lease_token"
            ),
            {
                "token": token,
                "now_ms": now_ms,
                "lease_ms": lease_ms,
                "destination": destination,
            },
        )
    ).one_or_none()
    return Leased(*row) if row else None


async def read_directory(connection: AsyncConnection, partition: int) -> Directory:
    """Where messages go, by the configuration in force in a partition."""
    rows = await connection.execute(
        text("SELECT configuration FROM alerts.partition WHERE partition = :partition"),
        {"partition": partition},
    )
    value: bytes | None = rows.scalar_one()
    assert value is not None, "what is to be sent was decided by a configuration"
    return rulebook(value).directory


async def is_gone(connection: AsyncConnection, name: str, url: str | None) -> bool:
    """Whether the destination said that this URL is no more."""
    rows = await connection.execute(
        text("SELECT 1 FROM alerts.destination WHERE name = :name AND gone_url = :url"),
        {"name": name, "url": url},
    )
    return rows.first() is not None


async def record(
    connection: AsyncConnection,
    leased: Leased,
    outcome: Outcome,
    pauses_seconds: Sequence[int],
    times: tuple[int, int],
) -> str | None:
    """Keep what came of an attempt, (begun, ended) in milliseconds, and free the lane.

    The status after it; None, and nothing is changed, if the lease is no longer ours.
    """
    now_ms = times[1]
    after = _after(leased, outcome, pauses_seconds, now_ms)
    rows = await connection.execute(
        text(
            "UPDATE alerts.notification SET status = :status, next_attempt_ms = :next_attempt_ms,"
            " attempts = :attempts, tries = tries + 1, error = :error, sent_ms = :sent_ms,"
            " maybe_duplicate = maybe_duplicate OR :maybe, lease_until_ms = NULL,"
            " lease_token = NULL WHERE partition = :partition AND id = :id"
            " AND status = 'leased' AND lease_token = :token RETURNING tries"
        ),
        {
            **after,
            "error": outcome.error or None,
            "sent_ms": now_ms if outcome.kind == "sent" else None,
            "maybe": outcome.kind == "unknown",
            "partition": leased.partition,
            "id": leased.id,
            "token": leased.token,
        },
    )
    tries = rows.scalar_one_or_none()
    if tries is None:
        return None
    await _keep_attempt(connection, leased.partition, leased.id, (tries, outcome, *times))
    if leased.alert_id is None:
        maybe = leased.maybe_duplicate or outcome.kind == "unknown"
        await _record_lines(connection, leased.id, str(after["status"]), now_ms, maybe=maybe)
    return str(after["status"])


async def _keep_attempt(
    connection: AsyncConnection, partition: int, name: str, attempt: tuple[int, Outcome, int, int]
) -> None:
    """An attempt: (number, outcome, begun, ended)."""
    number, outcome, begun_ms, now_ms = attempt
    await connection.execute(
        text(
            "INSERT INTO alerts.delivery_attempt (partition, notification_id, number, at_ms,"
            " outcome, http_status, latency_ms, error, retry_after_seconds) VALUES (:partition,"
            " :id, :number, :at_ms, :outcome, :http_status, :latency_ms, :error, :retry_after)"
        ),
        {
            "partition": partition,
            "id": name,
            "number": number,
            "at_ms": begun_ms,
            "outcome": outcome.kind,
            "http_status": outcome.http_status,
            "latency_ms": now_ms - begun_ms,
            "error": outcome.error,
            "retry_after": outcome.retry_after_seconds,
        },
    )


async def _record_lines(
    connection: AsyncConnection, digest_id: str, status: str, now_ms: int, *, maybe: bool
) -> None:
    """What is over for a digest is over for its lines."""
    await connection.execute(
        text(
            "UPDATE alerts.notification SET maybe_duplicate = maybe_duplicate OR :maybe,"
            " status = CASE WHEN :is_over THEN :status ELSE status END,"
            " sent_ms = CASE WHEN :status = 'sent' THEN CAST(:now_ms AS bigint) END"
            " WHERE digest_id = :digest_id AND status = 'bundled'"
        ),
        {
            "maybe": maybe,
            "is_over": status in ("sent", "dead", "superseded"),
            "status": status,
            "now_ms": now_ms,
            "digest_id": digest_id,
        },
    )


def _after(
    leased: Leased, outcome: Outcome, pauses_seconds: Sequence[int], now_ms: int
) -> dict[str, str | int]:
    """Status, next attempt and counted attempts after an outcome."""
    attempts = leased.attempts
    next_ms = now_ms
    match outcome.kind:
        case "sent":
            status, attempts = "sent", attempts + 1
        case "superseded":
            status = "superseded"
        case "gone" | "permanent":
            status, attempts = "dead", attempts + 1
        case "throttled":
            status = "retry"
            next_ms = now_ms + 1000 * (outcome.retry_after_seconds or THROTTLE_SECONDS)
        case "unconfigured":
            status, next_ms = "queued", now_ms + UNCONFIGURED_MS
        case _:
            attempts += 1
            pause = pause_ms(leased.id, attempts, pauses_seconds)
            status = "dead" if pause is None else "retry"
            next_ms = now_ms + (pause or 0)
    return {"status": status, "attempts": attempts, "next_attempt_ms": next_ms}


async def hold_destination(connection: AsyncConnection, name: str, until_ms: int) -> None:
    """Let a destination wait."""
    await connection.execute(
        text(
            "INSERT INTO alerts.destination AS d (name, wait_until_ms) VALUES (:name, :until_ms)"
            " ON CONFLICT (name) DO UPDATE SET"
            " wait_until_ms = greatest(d.wait_until_ms, excluded.wait_until_ms)"
        ),
        {"name": name, "until_ms": until_ms},
    )


async def mark_gone(connection: AsyncConnection, name: str, url: str | None) -> None:
    """Remember that the destination's URL is no more."""
    await connection.execute(
        text(
            "INSERT INTO alerts.destination (name, gone_url) VALUES (:name, :url)"
            " ON CONFLICT (name) DO UPDATE SET gone_url = excluded.gone_url"
        ),
        {"name": name, "url": url},
    )
