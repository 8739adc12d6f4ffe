"""One run: a deployment under faults and traffic, healed and drained; then the ledger is held."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from services.standalone import keys
from services.standalone.keeper import Leash
from shared import topics
from shared.settings import Settings
from tests.alerts.receiver import SECRET, Receiver, receiving
from tests.chaos.actions import PARTITIONS, SESSION_SECONDS, SIZES, Action
from tests.chaos.audit import AUDIT
from tests.chaos.faults import Faults
from tests.chaos.fleet import Fleet, members
from tests.chaos.sending import Sender
from tests.chaos.servers import Postgres, broker_running, postgres_running
from tests.chaos.watching import Watch
from tests.chaos.world import ACCOUNTS, MINUTE_MS, START_MS, UNHAPPY, Traffic, document
from tests.conftest import SECRET_KEY
from tests.driven_clock import DrivenClock
from tests.processes import passes, until

STEP_SECONDS = 0.25
CLOCK_RATE = 60
"""A minute a second: a tick each."""

EVENTS_A_STEP = 12
COMPLAINT_OF_STEPS = 12
DRAIN_SECONDS = 90


@dataclass
class Run:
    """The parts of a run, and what is left in the end."""

    settings: Settings
    postgres: Postgres
    fleet: Fleet
    faults: Faults
    clock: DrivenClock
    traffic: Traffic
    sender: Sender
    receiver: Receiver
    watch: Watch
    lasted: dict[str, float] = field(default_factory=dict)
    """In seconds, what a part of the run took."""

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        connection = await asyncpg.connect(self.postgres.url)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    @contextmanager
    def measured(self, part: str) -> Iterator[None]:
        """Remember how long a part takes."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        yield
        self.lasted[part] = loop.time() - began

    async def under(self, actions: list[Action]) -> None:
        """Send events while the actions happen, each after its time; then heal and drain."""
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(one)
                for one in (self.sender.run(), self.fleet.watch(), self.watch.run(), self._tick())
            ]
            with self.measured("start"):
                await self.fleet.until_ready()
                self.sender.put(self.traffic.first(self.clock.now_ms))
                await until(self._has_begun)
            self.watch.note_sizes(self.fleet)
            traffic = tasks.create_task(self._send())
            with self.measured("faults"):
                await self._act(actions)
            traffic.cancel()
            with self.measured("drain"):
                await self._drain()
            self.watch.hold_sizes(self.fleet)
            for task in background:
                task.cancel()

    async def _has_begun(self) -> bool:
        """Whether everybody has said that they are content."""
        (found,) = await self.rows("SELECT count(*) FROM alerts.account")
        return bool(found[0] == len(ACCOUNTS))

    async def _tick(self) -> None:
        while True:
            await passes(STEP_SECONDS)
            self.clock.forward(STEP_SECONDS * CLOCK_RATE)

    async def _send(self) -> None:
        for step in range(1_000_000):
            await passes(STEP_SECONDS)
            self.sender.put(self.traffic.some(EVENTS_A_STEP, self.clock.now_ms))
            if step % COMPLAINT_OF_STEPS == 0:
                self.sender.put(self.traffic.complaint(self.clock.now_ms))

    async def _act(self, actions: list[Action]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for action in actions:
                await passes(action.after_seconds)
                tasks.create_task(self.faults.run(action))

    async def _drain(self) -> None:
        """All is well again: everything must come through."""
        for proxy in (*self.faults.proxies, *self.postgres.proxies.values()):
            proxy.heal()
        self.sender.put(self.traffic.rest(self.clock.now_ms))
        await self.fleet.until_ready()
        await until(self._is_sent, DRAIN_SECONDS)
        end_ms = self.clock.now_ms + 2 * MINUTE_MS
        await until(lambda: self._is_told(end_ms), DRAIN_SECONDS)

    async def _is_sent(self) -> bool:
        return self.sender.is_done

    async def _is_told(self, clock_ms: int) -> bool:
        """Whether the clock has come so far everywhere, and nobody waits for anything."""
        (clocks,) = await self.rows("SELECT min(clock_ms), count(*) FROM alerts.partition")
        (waiting,) = await self.rows(
            "SELECT (SELECT count(*) FROM ingest.parked) + (SELECT count(*) FROM"
            " alerts.notification WHERE status IN ('held', 'bundled', 'queued', 'leased', 'retry'))"
        )
        (alerts,) = await self.rows("SELECT count(*) FROM alerts.alert WHERE state = 'firing'")
        return bool(
            clocks[1] == PARTITIONS
            and clocks[0] >= clock_ms
            and waiting[0] == 0
            and alerts[0] >= len(UNHAPPY)
        )


@asynccontextmanager
async def prepared(seed: int, broker_name: str, directory: Path) -> AsyncIterator[Run]:
    """Everything but the services' processes runs."""
    async with AsyncExitStack() as stack:
        leash = Leash()
        stack.callback(leash.let_go)
        postgres = await stack.enter_async_context(postgres_running(directory, leash, tuple(SIZES)))
        brokers = await stack.enter_async_context(broker_running(broker_name, leash))
        receiver = await stack.enter_async_context(receiving())
        clock = DrivenClock(directory / "clock", START_MS)
        settings = Settings(
            kafka=",".join(proxy.address for proxy in brokers[1]),
            kafka_replication_factor=brokers[0].copies,
            database_url=postgres.url,  # type: ignore[arg-type]
            secret_key=SECRET_KEY,  # type: ignore[arg-type]
        )
        await topics.create_log(
            settings, partitions=PARTITIONS, log_id="chaos", source_partitions=PARTITIONS
        )
        await topics.publish_configuration(settings, document(receiver.address))
        await keys.make(settings)
        connection = await asyncpg.connect(postgres.url)
        await connection.execute(AUDIT)
        await connection.close()
        environments = {
            service: {
                **clock.environment,
                "MYAKU_KAFKA": settings.kafka,
                "MYAKU_DATABASE_URL": postgres.url_through(service),
                "MYAKU_SECRET_KEY": SECRET_KEY,
                "MYAKU_SECRET_HOOK": SECRET,
                "MYAKU_KAFKA_SESSION_TIMEOUT_MS": str(round(SESSION_SECONDS * 1000)),
            }
            for service in SIZES
        }
        fleet = Fleet(members(SIZES, directory, environments, leash))
        stack.push_async_callback(fleet.stop)
        for member in fleet.members:
            member.start()
        yield Run(
            settings=settings,
            postgres=postgres,
            fleet=fleet,
            faults=Faults(fleet, postgres, brokers, clock, leash),
            clock=clock,
            traffic=Traffic(seed),
            sender=Sender(
                fleet.of("ingest"), keys.write_key(SECRET_KEY).text, settings.kafka, seed
            ),
            receiver=receiver,
            watch=Watch(postgres),
        )
