"""Parked events at a tick: what waited too long is refused, what has an account by now follows."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest import store
from services.ingest.accept import Known, Memberships, Outcome, Refused, Rejected, settle
from services.ingest.accept.decide import PARKED_MS_MAX
from services.ingest.erasures import erased_among
from services.ingest.publish import Publisher
from shared import metrics
from shared.database import snapshot, transaction


@dataclass(frozen=True)
class Sweeper:
    """Goes through what is parked; `now_ms` is when refusals are told."""

    database: AsyncEngine
    publisher: Publisher
    secret_key: str
    now_ms: int

    async def sweep(self, partition: int, tick_ms: int) -> None:
        """Go through what is parked of a source partition, as of its tick.

        Each page is sent, acknowledged, and then forgotten.
        """
        while await self._expire(partition, tick_ms):
            pass
        while await self._follow(partition):
            pass

    async def _expire(self, partition: int, tick_ms: int) -> bool:
        async with snapshot(self.database) as connection:
            old = await store.waited_since(connection, partition, tick_ms - PARKED_MS_MAX)
        why = Refused("unknown_account", "No account of the user became known within 7 days.")
        outcome = Outcome(rejected=[Rejected(one.record, why) for one in old], settled=old)
        outcome.counts["parked_refused"] = len(old)
        return await self._apply(outcome)

    async def _follow(self, partition: int) -> bool:
        async with snapshot(self.database) as connection:
            parked = await store.joined(connection, partition)
            users = {one.user_id for one in parked}
            memberships = Memberships(await store.memberships_of(connection, users))
            erased = await erased_among(connection, users, self.secret_key)
        return await self._apply(settle(Known(memberships, parked, erased)))

    async def _apply(self, outcome: Outcome) -> bool:
        """Send, then save; whether there was anything, so that there may be more."""
        if not outcome.settled:
            return False
        await self.publisher.send(outcome.accepted, outcome.rejected, self.now_ms)
        async with transaction(self.database) as connection:
            await store.save(connection, outcome)
        for kind, count in outcome.counts.items():
            metrics.RECORDS.labels(kind=kind).inc(count)
        for rejected in outcome.rejected:
            metrics.REJECTED.labels(reason=rejected.refused.reason).inc()
        return True
