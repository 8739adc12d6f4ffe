"""The real services in simulated processes: who runs them, ends them and starts them again."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable
from functools import cache, partial
from typing import Any, cast

from aiokafka import TopicPartition

from services.alerts.pipeline import Alerts
from services.ingest.pipeline import Ingest
from services.ingest.publish import Publisher
from services.ingest.refusals import Refusals
from services.scoring.pipeline import Scoring
from shared import kafka
from shared.events import HEALTH_CHANGES, USAGE_ACCEPTED, Marker, decode_control
from shared.loop import Loop
from shared.operations import Readiness
from shared.runtime import Running, UserError
from shared.settings import Settings
from tests.simulation.broker import Broker, Producer
from tests.simulation.consumer import Consumer
from tests.simulation.database import Engine
from tests.simulation.event_loop import SERVERS, Process, VirtualLoop
from tests.simulation.network import Lost, Network, Refused
from tests.simulation.store import Database
from tests.simulation.watched import Watched

SECRET_KEY = "a secret key of the simulation"
RESTART_SECONDS_MAX = 3.0
STOP_SECONDS = 30.0


@cache
def settings(*, live: bool) -> Settings:
    """What the services are told."""
    return Settings(
        kafka="simulated:1",
        secret_key=SECRET_KEY,  # type: ignore[arg-type]
        clock="wall" if live else "events",
        kafka_session_timeout_ms=6_000,
    )


class Worker:
    """One process of a service, and whoever starts it again when it has ended."""

    def __init__(self, fleet: "Fleet", service: str, number: int) -> None:
        self.fleet = fleet
        self.service = service
        self.number = number
        self.starts = 0
        self.process: Process
        self.running: Running
        self.task: asyncio.Task[None]
        self.start()

    def start(self) -> None:
        """Start a new process."""
        self.starts += 1
        self.process = Process(f"{self.service}-{self.number}.{self.starts}")
        self.running = Running(Readiness())
        self.task = self.fleet.loop.start(self.process, self.fleet.main(self))
        self.task.add_done_callback(self._ended, context=SERVERS)

    def kill(self) -> None:
        """SIGKILL: not a single step more."""
        self.process.dead = True
        self._again()

    def stop(self) -> None:
        """SIGTERM; what has not ended in time is killed."""
        process = self.process
        process.run(self.running.stop.set)

        def late() -> None:
            if process is self.process and not self.task.done():
                self.kill()

        self.fleet.loop.call_later(STOP_SECONDS, late, context=SERVERS)

    def _again(self) -> None:
        seconds = self.fleet.chance.random() * RESTART_SECONDS_MAX
        self.fleet.loop.call_later(seconds, self.start, context=SERVERS)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task is not self.task or task.cancelled() or self.process.dead:
            return
        fault = task.exception()
        if fault is not None and not isinstance(fault, UserError):
            self.fleet.faults.append(fault)
        if fault is not None:
            self.fleet.network.sometimes[f"ended by itself: {type(fault).__name__}"] += 1
        self._again()


class Fleet:
    """All workers of a world."""

    def __init__(
        self, network: Network, broker: Broker, clock: Callable[[], int], *, live: bool
    ) -> None:
        self.network = network
        self.loop: VirtualLoop = network.loop
        self.chance: random.Random = network.chance
        self.broker = broker
        self.clock = clock
        self.live = live
        names = ("ingest", "scoring", "alerts")
        self.databases = {name: Database(name, network.loop) for name in names}
        self.workers: list[Worker] = []
        self.faults: list[BaseException] = []
        self.settings = settings(live=live)

    @property
    def services(self) -> set[str]:
        """What runs."""
        return {worker.service for worker in self.workers}

    def main(self, worker: Worker) -> Coroutine[Any, Any, None]:
        """What the process of a worker runs."""
        name, running = worker.process.name, worker.running
        engine: Any = Engine(self.network, self.databases[worker.service], name)
        producer: Any = Producer(self.broker)
        skew_ms = self.chance.choice((0, 0, 1, -1)) * self.chance.randrange(1, 40_000)
        now_ms = lambda: self.clock() + skew_ms  # noqa: E731
        if worker.service == "ingest":
            partitions = len(self.broker.topics[USAGE_ACCEPTED])
            publisher = Publisher(producer, partitions, 1)
            ingest = Ingest(self.settings, engine, publisher, now_ms, running, Refusals())
            ingest.make_consumer = self._consumer(name)
            return ingest.run()
        topic = USAGE_ACCEPTED
        if worker.service == "scoring":
            moved_by = self.settings.clock
            scoring = Scoring(engine, producer, owner=name, moved_by=moved_by, now_ms=now_ms)
            room = Watched(scoring, scoring.partitions, self.network.sometimes)
        else:
            topic = HEALTH_CHANGES
            alerts = Alerts(engine, owner=name, deliver_history=True, wake=lambda: None)
            room = Watched(alerts, alerts.claims, self.network.sometimes)
        loop = Loop(self.settings, topic, room, running)
        loop.make_consumer = self._consumer(name)
        loop.read_markers = self.read_markers
        return loop.run(worker.service)

    def _consumer(self, name: str) -> Callable[..., Any]:
        return partial(Consumer, self.broker, name)

    async def read_markers(
        self, settings: Settings, places: Iterable[TopicPartition]
    ) -> dict[TopicPartition, Marker | None]:
        """The first record of each partition."""
        try:
            await self.network.ask("broker", "reading markers", lambda tell: tell(None))
        except (Lost, Refused) as error:
            raise kafka.BrokerUnavailable(str(error)) from error
        return {
            place: cast(Marker, decode_control(self.broker.log(place)[0].value)) for place in places
        }
