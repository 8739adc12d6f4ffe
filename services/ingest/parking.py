"""Parked events at a tick: what waited too long is refused, what has an account by now follows."""

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest import store
from services.ingest.accept import Known, Memberships, Outcome, Refused, Rejected, settle
from services.ingest.accept.decide import PARKED_MS_MAX
from services.ingest.publish import Publisher
from shared import metrics
from shared.database import snapshot, transaction


async def sweep(
    database: AsyncEngine, publisher: Publisher, partition: int, tick_ms: int, now_ms: int
) -> None:
    """Go through what is parked of a source partition; `now_ms` is when refusals are told.

    Each page is sent, acknowledged, and then forgotten.
    """
    while await _expire(database, publisher, partition, tick_ms, now_ms):
        pass
    while await _follow(database, publisher, partition, now_ms):
        pass


async def _expire(
    database: AsyncEngine, publisher: Publisher, partition: int, tick_ms: int, now_ms: int
) -> bool:
    async with snapshot(database) as connection:
        old = await store.waited_since(connection, partition, tick_ms - PARKED_MS_MAX)
    why = Refused("unknown_account", "No account of the user became known within 7 days.")
    outcome = Outcome(rejected=[Rejected(one.record, why) for one in old], settled=old)
    outcome.counts["parked_refused"] = len(old)
    return await _apply(database, publisher, outcome, now_ms)


async def _follow(database: AsyncEngine, publisher: Publisher, partition: int, now_ms: int) -> bool:
    async with snapshot(database) as connection:
        parked = await store.joined(connection, partition)
        users = {one.user_id for one in parked}
        memberships = Memberships(await store.memberships_of(connection, users))
    return await _apply(database, publisher, settle(Known(memberships, parked)), now_ms)


async def _apply(
    database: AsyncEngine, publisher: Publisher, outcome: Outcome, now_ms: int
) -> bool:
    """Send, then save; whether there was anything, so that there may be more."""
    if not outcome.settled:
        return False
    await publisher.send(outcome.accepted, outcome.rejected, now_ms)
    async with transaction(database) as connection:
        await store.save(connection, outcome)
    for kind, count in outcome.counts.items():
        metrics.RECORDS.labels(kind=kind).inc(count)
    for rejected in outcome.rejected:
        metrics.REJECTED.labels(reason=rejected.refused.reason).inc()
    return True
