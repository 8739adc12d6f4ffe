"""The pipeline in this process, and what it wrote."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition

from services.ingest.pipeline import Ingest
from services.ingest.publish import Publisher
from services.ingest.refusals import Refusals
from shared import database, kafka, topics
from shared.barriers import signed
from shared.events import (
    USAGE_ACCEPTED,
    USAGE_EVENTS,
    USAGE_REJECTED,
    Barrier,
    Erasure,
    Tick,
    encode,
)
from shared.operations import Readiness
from shared.runtime import Running
from shared.settings import Settings
from shared.times import iso_time
from tests.conftest import SECRET_KEY
from tests.processes import eventually, until

NOW_MS = 1_800_000_030_000  # 2027-01-15T08:00:30Z
MARKERS = 1


@dataclass
class Log:
    """The broker as these tests use it."""

    settings: Settings
    producer: AIOKafkaProducer
    partitions: int

    async def send(
        self, *values: bytes | None, partition: int = 0, key: bytes | None = b"key"
    ) -> None:
        """Put records into `usage.events`."""
        records: list[kafka.Record] = [(key, value, []) for value in values]
        await kafka.send_in_order(self.producer, USAGE_EVENTS, partition, records)

    async def send_signed(self, record: Tick | Barrier | Erasure, partition: int = 0) -> None:
        """Put a record of our own there."""
        records = [signed(record, SECRET_KEY)]
        await kafka.send_in_order(self.producer, USAGE_EVENTS, partition, records)

    async def accepted(self, partition: int) -> list[ConsumerRecord]:
        """What a partition of `usage.accepted` holds behind its marker."""
        return (await self.read(USAGE_ACCEPTED, partition))[MARKERS:]

    async def all_accepted(self) -> list[ConsumerRecord]:
        """What all of them hold, partition by partition."""
        held = [await self.accepted(number) for number in range(self.partitions)]
        return list(itertools.chain.from_iterable(held))

    async def rejected(self) -> list[ConsumerRecord]:
        """What `usage.rejected` holds."""
        return await self.read(USAGE_REJECTED, 0)

    async def read(self, topic: str, partition: int) -> list[ConsumerRecord]:
        """Everything in a partition now."""
        consumer = kafka.reader(self.settings)
        await consumer.start()
        try:
            place = TopicPartition(topic, partition)
            consumer.assign([place])
            consumer.seek(place, 0)
            records: list[ConsumerRecord] = []
            while consumer.highwater(place) is None or len(records) < consumer.highwater(place):
                records += (await consumer.getmany(place, timeout_ms=100)).get(place, [])
            return records
        finally:
            await consumer.stop()


@asynccontextmanager
async def log(settings: Settings, partitions: int = 3, sources: int = 1) -> AsyncIterator[Log]:
    """Topics, and someone who writes into them."""
    await topics.create_log(
        settings, partitions=partitions, log_id="log", source_partitions=sources
    )
    producer = kafka.producer(settings)
    await producer.start()
    try:
        yield Log(settings, producer, partitions)
    finally:
        await producer.stop()


@asynccontextmanager
async def ingesting(
    settings: Settings, now_ms: Callable[[], int] = lambda: NOW_MS, publisher: Any = Publisher
) -> AsyncIterator[Ingest]:
    """The pipeline, while it runs."""
    engine = database.create(settings.database_url.get_secret_value())
    producer = kafka.producer(settings)
    await producer.start()
    running = Running(Readiness())
    partitions = await kafka.partitions_of(producer, USAGE_ACCEPTED)
    ingest = Ingest(
        settings, engine, publisher(producer, partitions, 1), now_ms, running, Refusals()
    )
    task = asyncio.create_task(ingest.run())
    try:
        await eventually(lambda: task.done() or bool(ingest.owned))
        yield ingest
    finally:
        running.stop.set()
        await task
        await producer.stop()
        await engine.dispose()


async def committed(ingest: Ingest, ends: Sequence[int]) -> None:
    """Wait until the group's offsets are the ends of the source partitions."""
    places = [TopicPartition(USAGE_EVENTS, number) for number in range(len(ends))]

    async def there() -> bool:
        return [await ingest.consumer.committed(place) or 0 for place in places] == list(ends)

    await until(there, seconds=30)


def ids(records: Sequence[ConsumerRecord]) -> list[str]:
    """Events by id, our own records by type, in order."""
    bodies = [json.loads(record.value) for record in records]
    return [body.get("id") if "account_id" in body else body["type"] for body in bodies]


def event(number: int = 0, **fields: Any) -> bytes:
    """A good event; a field given as None is left out."""
    native = {
        "id": f"e-{number}",
        "type": "feature.used",
        "account_id": f"account-{number % 7}",
        "time": iso_time(NOW_MS - 1_000),
        **fields,
    }
    return encode({name: value for name, value in native.items() if value is not None})
