"""One world for each seed: services, traffic and nemeses for a while; then all heals and drains."""

import random

from shared.events import (
    HEALTH_CHANGES,
    TICK,
    USAGE_ACCEPTED,
    USAGE_EVENTS,
    Tick,
    decode_control,
)
from shared.times import iso_time
from tests.simulation.broker import Broker
from tests.simulation.event_loop import VirtualLoop
from tests.simulation.nemeses import Nemeses
from tests.simulation.network import Network
from tests.simulation.passed_on import watch
from tests.simulation.services import Fleet, Worker
from tests.simulation.traffic import Traffic
from tests.simulation.writing import Events, Scores, make_log

KINDS = (
    (("ingest",), ("scoring",), ("alerts",), ("ingest", "scoring", "alerts")),
    (0.3, 0.35, 0.2, 0.15),
)
"""Which services are in a world, and how likely that is."""

MINUTE_MS = 60_000
PARKED = "parked events"
INGEST_GROUP = "myaku-ingest"
TROUBLE_SECONDS = 15.0
DRAIN_SECONDS_MAX = 240.0
STEPS_MAX = 400_000
LOOK_SECONDS = 1.0
QUIET_LOOKS = 3
TICK_MS_MAX = 180_000
"""So old is the newest tick at most: the clocks of processes differ."""


class World:
    """A seed's world. Everything about it follows from the seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.loop = VirtualLoop(random.Random(f"{seed} steps"), STEPS_MAX)
        self.network = Network(self.loop, random.Random(f"{seed} network"))
        self.broker = Broker(self.network)
        self.live = self.chance.random() < 0.4
        self.partitions = self.chance.choice((1, 1, 2))
        self.sources = self.chance.randint(1, 2)
        self.services = {
            name: self.chance.choice((1, 2, 2, 3)) for name in self.chance.choices(*KINDS)[0]
        }
        make_log(self.broker, self.partitions, self.sources)
        self.traffic = Traffic(random.Random(f"{seed} traffic"), "ingest" in self.services)
        self.writer = self._writer()
        self.fleet = Fleet(self.network, self.broker, lambda: self.now_ms, live=self.live)
        watch(self.broker, INGEST_GROUP, self.fleet.databases["ingest"])
        self.nemeses = Nemeses(self.fleet, random.Random(f"{seed} nemeses"))

    @property
    def now_ms(self) -> int:
        """What the wall's clock says."""
        return self.traffic.now_ms

    def _writer(self) -> Events | Scores:
        if set(self.services) == {"alerts"}:
            return Scores(self.broker, self.traffic.chance, live=self.live)
        ingest = "ingest" in self.services
        return Events(self.broker, self.traffic, ingest=ingest, live=self.live)

    def run(self) -> None:
        """Live through it all. Raises what went wrong."""
        self.loop.run_until_complete(self._live())
        for fault in [*self.fleet.faults, *self.network.swallowed]:
            raise fault

    def close(self) -> None:
        """Let its memory go."""
        for database in self.fleet.databases.values():
            database.close()

    async def _live(self) -> None:
        for service, count in self.services.items():
            for number in range(count):
                self.fleet.workers.append(Worker(self.fleet, service, number))
        trouble = self.loop.create_task(self.nemeses.run(TROUBLE_SECONDS))
        while not trouble.done():
            await self.loop.pause(self.traffic.chance.uniform(0.3, 3.0))
            self.writer.write()
        await trouble
        self.writer.write_last()
        await self._drain()

    async def _drain(self) -> None:
        """Wait until nothing is left to do, and for what is on its way then."""
        until, quiet = self.loop.now + DRAIN_SECONDS_MAX, 0
        while quiet < QUIET_LOOKS:
            left = self._left()
            quiet = 0 if left else quiet + 1
            if self.loop.now > until:
                raise AssertionError(f"L1: not drained after {DRAIN_SECONDS_MAX} s: {left}")
            await self.loop.pause(LOOK_SECONDS)
            if left == [PARKED]:  # with the next tick they follow
                self.writer.go_on(MINUTE_MS)

    def _left(self) -> list[str]:
        """What is not done yet."""
        left = [
            f"{worker.process.name} {worker.running.readiness.waiting}"
            for worker in self.fleet.workers
            if worker.process.dead or worker.task.done() or worker.running.readiness.waiting
        ]
        if "ingest" in self.services:
            offsets = self.broker.group(INGEST_GROUP).offsets
            left += self._unread(USAGE_EVENTS, {at.partition: offsets[at] for at in offsets})
            left += self._late_ticks() if self.live else []
            parked = self.fleet.databases["ingest"].rows("SELECT 1 FROM parked")
            left += [PARKED] if parked else []
        for service, topic in (("scoring", USAGE_ACCEPTED), ("alerts", HEALTH_CHANGES)):
            if service in self.services:
                rows = self.fleet.databases[service].rows("SELECT partition, next FROM partition")
                left += self._unread(topic, dict(rows))
        return left

    def _unread(self, topic: str, offsets: dict[int, int]) -> list[str]:
        """The partitions of a topic that have more than was handled."""
        return [
            f"{topic} {partition}: {offsets.get(partition)} of {len(log)}"
            for partition, log in enumerate(self.broker.topics[topic])
            if offsets.get(partition, 0) < len(log)
        ]

    def _late_ticks(self) -> list[str]:
        """The source partitions of which the newest live tick is not in the log."""
        newest: dict[int, str] = {}
        for record in self.broker.topics[USAGE_ACCEPTED][0]:
            if record.key == TICK.encode():
                tick = decode_control(record.value)
                assert isinstance(tick, Tick)
                newest[tick.source_partition] = max(
                    tick.time, newest.get(tick.source_partition, "")
                )
        least = iso_time(self.now_ms - TICK_MS_MAX)
        return [f"tick of {at}" for at in range(self.sources) if newest.get(at, "") < least]
