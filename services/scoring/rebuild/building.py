"""One partition's log through the engine into the shadow, with what `pipeline` does but send."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy.ext.asyncio import AsyncEngine

from services.scoring.backfill.kept_log import read_log, records_until
from services.scoring.backfill.waiting import waiting
from services.scoring.engine import Effects, State, advance
from services.scoring.engine.decode import Batch
from services.scoring.engine.dedupe import evict
from services.scoring.engine.users.days import forget_users
from services.scoring.engine.windows import forget_things
from services.scoring.load import load, load_seen
from services.scoring.pipeline import groups, read_batch
from services.scoring.rows import Rows, rows_of
from services.scoring.store import mark_relayed, save
from shared.corrupt import LogEntry
from shared.database import snapshot, transaction
from shared.events import BACKFILLED, USAGE_ACCEPTED, Backfilled
from shared.kafka import partition_of
from shared.offsets import Claim, claim
from shared.settings import Settings

OWNER = "myaku rebuild"


class Building:
    """A partition's state in the shadow, and how far it has come."""

    def __init__(self, settings: Settings, shadow: AsyncEngine, partitions: int) -> None:
        self.settings = settings
        self.shadow = shadow
        self.partitions = partitions
        self.held: Claim
        self.state: State

    async def start(self, partition: int, log_id: str) -> None:
        """An empty state."""
        async with transaction(self.shadow) as connection:
            self.held = await claim(connection, "scoring", partition, log_id, OWNER)
        async with snapshot(self.shadow) as connection:
            self.state = (await load(connection, self.held)).state

    async def go_on(
        self, consumer: AIOKafkaConsumer, until_offset: int, told: Callable[[int], None]
    ) -> None:
        """Take in the log up to before an offset; `told` hears how far it is."""
        place = TopicPartition(USAGE_ACCEPTED, self.held.partition)
        consumer.assign([place])
        consumer.seek(place, self.held.next)
        async for records in records_until(consumer, place, until_offset):
            for part in _parts(records):
                await self._take(part)
            told(self.held.next)

    async def _take(self, records: Sequence[LogEntry]) -> None:
        batch, buckets = await asyncio.to_thread(read_batch, self.state, records)
        if buckets:
            async with snapshot(self.shadow) as connection:
                await load_seen(connection, self.state, buckets)
        for _, record in batch.controls:
            if isinstance(record.body, Backfilled):
                await self._learn(record.body.id)
        effects, rows = await asyncio.to_thread(self._decide, batch)
        async with transaction(self.shadow) as connection:
            self.held = await save(connection, self.held, records[-1].offset + 1, rows)
            await mark_relayed(connection, self.held, effects.number)
        evict(self.state)
        if effects.closed:
            forget_things(self.state)
            forget_users(self.state)

    def _decide(self, batch: Batch) -> tuple[Effects, Rows]:
        effects = advance(self.state, batch, lambda one: partition_of(one, self.partitions))
        return effects, rows_of(self.state, effects)

    async def _learn(self, backfill: str) -> None:
        """What `myaku backfill` had read when it wrote the record: the log says it once more."""
        async with snapshot(self.shadow) as connection:
            found = await waiting(connection)
        for one in found:
            if one.partition == self.held.partition:
                with tempfile.TemporaryDirectory(prefix="myaku-rebuild-") as directory:
                    pieces = [
                        piece async for piece in read_log(self.settings, one, Path(directory))
                    ]
                self.state.learned[backfill] = pieces


def _parts(records: Sequence[LogEntry]) -> Iterator[Sequence[LogEntry]]:
    """The records of one commit each; one that ends a backfill begins a commit of its own."""
    start = 0
    for at, record in enumerate(records):
        if record.key == BACKFILLED.encode():
            yield from groups(records[start:at])
            yield records[at : at + 1]
            start = at + 1
    yield from groups(records[start:])
