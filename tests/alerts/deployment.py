"""Partitions that have a history, and a sender: what digests are made of."""

from typing import Any

import httpx2
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.delivery.dispatcher import Dispatcher
from services.alerts.delivery.gathering import GATHER_MS
from services.alerts.pipeline import Alerts
from services.alerts.records import RawRecord
from tests.alerts.receiver import SECRET, Receiver
from tests.alerts.rows import claimed, records
from tests.alerts.test_delivery import Wall
from tests.alerts.world import PROFILE, at_ms, health

BO = {**PROFILE, "csm": "bo@example.com", "name": "Beta"}


class Deployment:
    """Partitions that have a history, and a sender; the wall is at the partitions' hour."""

    def __init__(self, engine: AsyncEngine, client: httpx2.AsyncClient, **secrets: str) -> None:
        self.wall = Wall()
        self.engine = engine
        self.sender = Dispatcher(engine, client, {"HOOK": SECRET, **secrets}, self.wall)
        self.workers: dict[int, tuple[Alerts, int]] = {}

    async def read(self, *raw: RawRecord, partition: int = 0) -> None:
        """Handle records of a partition."""
        if partition not in self.workers:
            self.workers[partition] = await claimed(self.engine, partition=partition, partitions=2)
        worker, offset = self.workers[partition]
        await worker.handle(partition, records(raw, offset, partition))
        self.workers[partition] = worker, offset + len(raw)

    async def deliver(self, hours: float, *names: str) -> None:
        """What the sender does around an hour: gather, wait, gather, deliver all."""
        self.wall.ms = at_ms(hours)
        await self.sender.gather()
        self.wall.ms += GATHER_MS
        await self.sender.gather()
        for name in names:
            while await self.sender.deliver_next(name):
                pass


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    """What arrived."""
    return [msgspec.json.decode(body) for _, body in receiver.requests]


def fading(number: int, score: float, **others: Any) -> RawRecord:
    """An account of a history that is in breach."""
    return health(0, score, 1, f"account-{number}", mode="history", **others)
