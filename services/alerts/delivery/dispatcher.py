"""The dispatcher: claim with a lease, commit, send, record. Each destination at its own pace."""

import asyncio
import secrets as tokens
from collections.abc import Callable, Mapping

import httpx2
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.delivery import outbox
from services.alerts.delivery.outbox import Leased
from services.alerts.delivery.outcome import THROTTLE_SECONDS, Outcome
from services.alerts.delivery.send import send
from services.alerts.records import rulebook
from shared import metrics
from shared.configuration.types import Destination
from shared.database import LOST, transaction
from shared.runtime import Running, log

POLL_SECONDS = 1.0
LEASE_MS = 90_000
"""Longer than the greatest timeout of a destination, so that no attempt outlives its lease."""


class Dispatcher:
    """Delivers what is due; `now_ms` reads the wall clock."""

    def __init__(
        self,
        database: AsyncEngine,
        client: httpx2.AsyncClient,
        secrets: Mapping[str, str],
        now_ms: Callable[[], int],
    ) -> None:
        self.database = database
        self.client = client
        self.secrets = secrets
        self.now_ms = now_ms
        self.woken = asyncio.Event()
        self.busy: dict[str, asyncio.Task[None]] = {}
        self.undeliverable: dict[str, str] = {}
        """By destination: why nothing can be sent there, until something can."""

    def wake(self) -> None:
        """Something was committed that may be due."""
        self.woken.set()

    async def run(self, running: Running) -> None:
        """Deliver until the process is to stop; what is being sent then is sent to its end."""
        running.readiness.facts["undeliverable"] = self.undeliverable
        async with asyncio.TaskGroup() as tasks:
            while not running.stop.is_set():
                self.woken.clear()
                for name in await self._due():
                    if name not in self.busy:
                        self.busy[name] = tasks.create_task(self._drain(name, running))
                await self._rest(running)

    async def _rest(self, running: Running) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self.woken, running.stop)]
        await asyncio.wait(waits, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _due(self) -> list[str]:
        try:
            async with transaction(self.database) as connection:
                now_ms = self.now_ms()
                number, overdue_ms = await outbox.waiting(connection, now_ms)
                metrics.OUTBOX.set(number)
                metrics.OUTBOX_AGE.set(overdue_ms / 1000)
                return await outbox.due_destinations(connection, now_ms)
        except LOST as error:
            log.warning("the outbox cannot be read", why=str(error))
            return []

    async def _drain(self, name: str, running: Running) -> None:
        try:
            while not running.stop.is_set() and await self.deliver_next(name):
                pass
        except LOST as error:
            log.warning("delivery is interrupted", destination=name, why=str(error))
        finally:
            del self.busy[name]

    async def deliver_next(self, name: str) -> bool:
        """Deliver what is next for a destination; whether there was anything."""
        begun_ms = self.now_ms()
        async with transaction(self.database) as connection:
            lease = (tokens.token_hex(8), LEASE_MS)
            leased = await outbox.take(connection, name, begun_ms, lease)
            if leased is None:
                return False
        destination = await self._destination(leased)
        outcome = await self._check(leased, destination)
        if outcome is None and destination:
            outcome = await send(self.client, destination, leased, self.secrets, self.now_ms())
        assert outcome is not None
        await self._record(leased, destination, outcome, begun_ms)
        return True

    async def _destination(self, leased: Leased) -> Destination | None:
        async with transaction(self.database) as connection:
            value = await outbox.read_configuration(connection, leased.partition)
        found = rulebook(value).routing.destinations if value else {}
        return found.get(leased.destination)

    async def _check(self, leased: Leased, destination: Destination | None) -> Outcome | None:
        """Why it must not be sent, if so; read again before every attempt."""
        if destination is None:
            return Outcome("superseded", "The destination is no longer configured.")
        async with transaction(self.database) as connection:
            if await outbox.is_superseded(connection, leased):
                return Outcome("superseded", "The alert was over before this was told.")
            if await outbox.is_gone(connection, leased.destination, destination.url):
                return Outcome("gone", "The receiver is gone: it answered 410 before.")
        return None

    async def _record(
        self, leased: Leased, destination: Destination | None, outcome: Outcome, begun_ms: int
    ) -> None:
        now_ms = self.now_ms()
        name = leased.destination
        async with transaction(self.database) as connection:
            status = await outbox.record(connection, leased, outcome, (begun_ms, now_ms))
            if outcome.kind == "throttled":
                seconds = outcome.retry_after_seconds or THROTTLE_SECONDS
                await outbox.hold_destination(connection, name, now_ms + 1000 * seconds)
            if outcome.kind == "gone" and destination:
                await outbox.mark_gone(connection, name, destination.url)
        self._count(leased, outcome, status)
        self._say(leased, outcome, status)

    def _count(self, leased: Leased, outcome: Outcome, status: str | None) -> None:
        name = leased.destination
        metrics.DELIVERIES.labels(destination=name, outcome=outcome.kind).inc()
        if status == "dead":
            metrics.DEAD.labels(destination=name).inc()
        if outcome.kind in ("unconfigured", "gone"):
            self.undeliverable[name] = outcome.error
            metrics.UNDELIVERABLE.labels(destination=name).set(1)
        elif outcome.kind == "sent":
            self.undeliverable.pop(name, None)
            metrics.UNDELIVERABLE.remove_by_labels({"destination": name})

    def _say(self, leased: Leased, outcome: Outcome, status: str | None) -> None:
        name = leased.destination
        if outcome.kind not in ("sent", "superseded"):
            log.warning(
                "not delivered",
                destination=name,
                notification=leased.id,
                outcome=outcome.kind,
                why=outcome.error,
            )
        if status is None:
            log.warning("sent after its lease had ended", notification=leased.id, destination=name)
