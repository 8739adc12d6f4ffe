"""The dispatcher: claim with a lease, commit, send, record. Each destination at its own pace."""

import asyncio
import secrets as tokens
from collections.abc import Callable, Mapping
from dataclasses import replace

import httpx2
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.delivery import gathering, outbox
from services.alerts.delivery.fallback import pass_on
from services.alerts.delivery.outcome import (
    MAIL_PAUSES_SECONDS,
    PAUSES_SECONDS,
    THROTTLE_SECONDS,
    UNCONFIGURED_MS,
    Outcome,
)
from services.alerts.delivery.printed import printed
from services.alerts.delivery.send import Means, send
from services.alerts.delivery.truth import Leased, is_untrue
from services.alerts.routing import Directory
from shared import metrics, rehearsal
from shared.database import LOST, transaction
from shared.runtime import Running, log

POLL_SECONDS = 1.0
ERROR_CHARACTERS_MAX = 500
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
        self.means = Means(client, secrets)
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
            await self.gather()
        except LOST as error:  # what needs no gathering goes all the same
            log.warning("digests are not gathered", why=str(error))
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

    async def gather(self) -> None:
        """Make the digests whose time has come."""
        async with transaction(self.database) as connection:
            await gathering.gather(connection, self.now_ms())

    async def deliver_next(self, name: str) -> bool:
        """Deliver what is next for a destination; whether there was anything."""
        begun_ms = self.now_ms()
        async with transaction(self.database) as connection:
            lease = (tokens.token_hex(8), LEASE_MS)
            leased = await outbox.take(connection, name, begun_ms, lease)
            if leased is None:
                return False
            directory = await outbox.read_directory(connection, leased.partition)
        outcome = await self._check(leased, directory)
        if outcome is None:
            destination = directory.routing.destinations[name]
            person = directory.person(leased.recipient)
            called = person.name if person else ""
            outcome = await send(self.means, leased, destination, called, self.now_ms())
            rehearsal.reach("delivery.after-answer")
            # What a receiver answers may hold what no text of a database can.
            outcome = replace(outcome, error=printed(outcome.error)[:ERROR_CHARACTERS_MAX])
        await self._record(leased, directory, outcome, begun_ms)
        return True

    async def _check(self, leased: Leased, directory: Directory) -> Outcome | None:
        """Why it must not be sent, if so; read again before every attempt."""
        destination = directory.routing.destinations.get(leased.destination)
        async with transaction(self.database) as connection:
            if await is_untrue(connection, leased):
                return Outcome("superseded", "It was no longer so, or nobody had heard of it.")
            if destination is None:
                return Outcome("permanent", "The destination is no longer configured.")
            if await outbox.is_gone(connection, leased.destination, destination.url):
                return Outcome("gone", "The receiver is gone: it answered 410 before.")
        return None

    async def _record(
        self, leased: Leased, directory: Directory, outcome: Outcome, begun_ms: int
    ) -> None:
        now_ms = self.now_ms()
        name = leased.destination
        destination = directory.routing.destinations.get(name)
        is_mail = destination is not None and destination.type == "email"
        pauses = MAIL_PAUSES_SECONDS if is_mail else PAUSES_SECONDS
        elsewhere = None
        async with transaction(self.database) as connection:
            status = await outbox.record(connection, leased, outcome, pauses, (begun_ms, now_ms))
            if status in ("sent", "dead", "superseded"):
                elsewhere = await pass_on(connection, leased, status, directory)
            if outcome.kind == "throttled":
                seconds = outcome.retry_after_seconds or THROTTLE_SECONDS
                await outbox.hold_destination(connection, name, now_ms + 1000 * seconds)
            if outcome.kind == "unconfigured":  # what is wrong for one is wrong for all
                await outbox.hold_destination(connection, name, now_ms + UNCONFIGURED_MS)
            if outcome.kind == "gone" and destination:
                await outbox.mark_gone(connection, name, destination.url)
        self._count(leased, outcome, status)
        self._say(leased, outcome, status)
        if elsewhere:
            log.warning("sent elsewhere", notification=leased.id, destination=elsewhere)
            self.wake()

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
