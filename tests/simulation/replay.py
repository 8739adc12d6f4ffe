"""The same log through the same services, undisturbed: what must come of it."""

import random
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from services.alerts.pipeline import Alerts
from services.scoring.pipeline import Scoring
from shared.events import ENGAGEMENT_CHANGES, HEALTH_CHANGES, Marker
from tests.simulation.broker import Broker, Producer
from tests.simulation.database import Engine
from tests.simulation.event_loop import VirtualLoop
from tests.simulation.network import Network
from tests.simulation.store import Database

STEPS_MAX = 1_000_000


class Replay:
    """A world without faults: one worker of each service, and nothing else."""

    def __init__(self, log_id: str, partitions: int, *, live: bool) -> None:
        self.loop = VirtualLoop(random.Random(0), STEPS_MAX)
        self.network = Network(self.loop, random.Random(0))
        self.broker = Broker(self.network)
        self.marker = Marker(log_id, partitions)
        self.live = live
        self.broker.make(HEALTH_CHANGES, partitions, self.marker)
        self.broker.make(ENGAGEMENT_CHANGES, partitions)
        self.databases = {name: Database(name, self.loop) for name in ("scoring", "alerts")}

    def score(self, partition: int, log: Sequence[ConsumerRecord], ends: Iterable[int]) -> None:
        """Let scoring read a partition, with a commit at each of the offsets."""
        engine: Any = Engine(self.network, self.databases["scoring"], "replay")
        producer: Any = Producer(self.broker)
        moved_by = "wall" if self.live else "events"
        room = Scoring(engine, producer, owner="replay", moved_by=moved_by, now_ms=lambda: 0)
        self.loop.run_until_complete(self._through(room, partition, log, ends))

    def alert(self, partition: int, log: Sequence[ConsumerRecord]) -> None:
        """Let alerts read a partition in one go."""
        engine: Any = Engine(self.network, self.databases["alerts"], "replay")
        room = Alerts(engine, owner="replay", deliver_history=True, wake=lambda: None)
        self.loop.run_until_complete(self._through(room, partition, log, [len(log)]))

    async def _through(
        self, room: Any, partition: int, log: Sequence[ConsumerRecord], ends: Iterable[int]
    ) -> None:
        at = await room.load(partition, self.marker)
        for start, end in pairwise([at, *ends]):
            if end > start:
                await room.handle(partition, log[start:end])

    def health(self, partition: int) -> list[ConsumerRecord]:
        """What scoring sent."""
        return self.broker.log(TopicPartition(HEALTH_CHANGES, partition))

    def close(self) -> None:
        """Let its memory go."""
        for database in self.databases.values():
            database.close()
