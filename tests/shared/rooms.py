"""A room that keeps what it is given in the fence's own table, and ways to run it in a loop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import ConsumerRecord
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import transaction
from shared.events import USAGE_ACCEPTED, Marker
from shared.loop import Loop
from shared.offsets import Claim, advance, claim
from shared.operations import Readiness
from shared.runtime import Running
from shared.settings import Settings


class Ledger:
    """Counts each record at the offset it was committed at; shared by the workers of a test."""

    def __init__(self, database: AsyncEngine, owner: str = "one") -> None:
        self.database = database
        self.owner = owner
        self.claims: dict[int, Claim] = {}
        self.committed: dict[int, list[int]] = {}
        self.loads: list[int] = []
        self.dropped: list[int] = []
        self.lost_answers = 0  # so many commits are saved, and fail
        self.faults: list[BaseException] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self, partition: int, marker: Marker | None) -> int:
        assert marker is not None
        await self.gate.wait()
        async with transaction(self.database) as connection:
            held = await claim(connection, "scoring", partition, marker.id, self.owner)
        self.claims[partition] = held
        self.loads.append(partition)
        return held.next

    async def handle(self, partition: int, records: Sequence[ConsumerRecord]) -> None:
        if self.faults:
            raise self.faults.pop()
        held = self.claims[partition]
        async with transaction(self.database) as connection:
            self.claims[partition] = await advance(connection, held, records[-1].offset + 1)
        offsets = [record.offset for record in records]
        assert offsets[0] == held.next
        self.committed.setdefault(partition, []).extend(offsets)
        if self.lost_answers:
            self.lost_answers -= 1
            raise ConnectionResetError("the answer to COMMIT was lost")

    def clock(self, partition: int) -> tuple[int | None, str]:
        return None, "nobody"

    def drop(self, partition: int) -> None:
        self.claims.pop(partition, None)
        self.dropped.append(partition)

    @property
    def count(self) -> int:
        """How many records were committed, markers included."""
        return sum(len(offsets) for offsets in self.committed.values())


@asynccontextmanager
async def looping(settings: Settings, room: Ledger) -> AsyncIterator[Running]:
    """The loop runs until the end of the block; what ends it early is raised there."""
    running = Running(Readiness())
    task = asyncio.create_task(Loop(settings, USAGE_ACCEPTED, room, running).run(settings.group))
    try:
        yield running
    finally:
        running.stop.set()
        await asyncio.wait_for(task, 30)
