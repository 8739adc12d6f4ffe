"""Reading what was refused from `usage.rejected`, and what was put aside from the tables."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.admin.rejected.entry import CORRUPT, PUT_ASIDE, Entry, refused
from shared import corrupt, kafka
from shared.database import snapshot
from shared.events import HEALTH_CHANGES, USAGE_ACCEPTED, USAGE_REJECTED
from shared.runtime import UserError
from shared.settings import Settings

PATIENCE_SECONDS = 30
RECORDS_MAX = 500
ROWS_MAX = 100
TABLES = {"scoring": USAGE_ACCEPTED, "alerts": HEALTH_CHANGES}
"""Who puts records aside, and of which topic they are."""


@dataclass
class Span:
    """The offsets of `usage.rejected`, by partition: its first ones, and where to stop."""

    starts: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of `usage.rejected`. Raises UserError where there is no broker or no topic."""
    consumer = kafka.reader(settings)
    await kafka.start(consumer, settings)
    try:
        await kafka.need_partitions(consumer, USAGE_REJECTED, settings)
        yield consumer
    except (KafkaError, TimeoutError) as error:
        raise kafka.BrokerUnavailable(
            f"The broker at {settings.kafka} gives no records: {error!r}."
        ) from error
    finally:
        await consumer.stop()


async def span_of(consumer: AIOKafkaConsumer) -> Span:
    """What `usage.rejected` holds now; the consumer is given all of it, once and for all."""
    count = await kafka.partitions_of(consumer, USAGE_REJECTED)
    places = [TopicPartition(USAGE_REJECTED, partition) for partition in range(count)]
    starts = await consumer.beginning_offsets(places)
    span = Span({place.partition: offset for place, offset in starts.items()})
    consumer.assign(places)
    for place in places:
        consumer.seek(place, span.starts[place.partition])
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(span.ends) < count:
            await consumer.getmany(*places, timeout_ms=50, max_records=1)
            for place in places:
                if (end := consumer.highwater(place)) is not None:
                    span.ends.setdefault(place.partition, end)
    return span


async def all_refused(
    consumer: AIOKafkaConsumer, span: Span, begin: Mapping[int, int] | None = None
) -> AsyncIterator[Entry]:
    """What the topic holds of a span, a partition after the other, the oldest first."""
    if not consumer.assignment():
        consumer.assign([TopicPartition(USAGE_REJECTED, partition) for partition in span.ends])
    for partition, end in span.ends.items():
        place = TopicPartition(USAGE_REJECTED, partition)
        consumer.seek(place, (begin or span.starts)[partition])
        while (position := await consumer.position(place)) < end:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await consumer.position(place) == position:
                    found = await corrupt.fetch(
                        consumer, {place: position}, timeout_ms=100, max_records=RECORDS_MAX
                    )
            for record in corrupt.apart(found.get(place, []))[0]:
                if record.offset < end:
                    yield refused(partition, record.offset, record, span.starts)


async def one_refused(consumer: AIOKafkaConsumer, partition: int, offset: int) -> Entry | None:
    """The record at an offset; None where there is none."""
    span = await span_of(consumer)
    if not span.starts.get(partition, 0) <= offset < span.ends.get(partition, 0):
        return None
    try:
        one = Span(span.starts, {partition: offset + 1})
        async for entry in all_refused(consumer, one, {partition: offset}):
            return entry
    except OffsetOutOfRangeError:  # it left meanwhile
        return None
    return None


async def all_put_aside(database: AsyncEngine, kept_in: str) -> AsyncIterator[Entry]:
    """What scoring or alerts put aside, a page at a time."""
    last = (-1, "", -1)
    while True:
        async with snapshot(database) as connection:
            rows = await connection.execute(
                text(
                    "SELECT partition, log_id, log_offset, reason, value"
                    f" FROM {kept_in}.quarantine"
                    " WHERE (partition, log_id, log_offset) > (:partition, :log_id, :log_offset)"
                    f" ORDER BY partition, log_id, log_offset LIMIT {ROWS_MAX}"
                ),
                dict(zip(("partition", "log_id", "log_offset"), last, strict=True)),
            )
            page = rows.all()
        for row in page:
            last = row.partition, row.log_id, row.log_offset
            is_corrupt = row.reason.startswith("The batch with offsets ")
            yield Entry(
                kept_in,
                row.partition,
                row.log_offset,
                None,
                None if row.value is None else bytes(row.value),
                CORRUPT if is_corrupt else PUT_ASIDE,
                row.reason,
                f"{TABLES[kept_in]}/{row.partition}/{row.log_offset}",
            )
        if len(page) < ROWS_MAX:
            return


async def find(settings: Settings, database: AsyncEngine, position: str) -> list[Entry]:
    """What stands at a position; of several logs in turn there may be several. Raises UserError."""
    kept_in, _, place = position.partition("/")
    partition, _, offset = place.partition("/")
    if kept_in not in ("rejected", *TABLES) or not (partition.isdecimal() and offset.isdecimal()):
        raise UserError(
            f"{position!r} is no position: they look like rejected/0/17, see `myaku rejected list`."
        )
    if kept_in == "rejected":
        async with reading(settings) as consumer:
            entry = await one_refused(consumer, int(partition), int(offset))
        found = [entry] if entry else []
    else:
        found = [
            entry
            async for entry in all_put_aside(database, kept_in)
            if (entry.partition, entry.offset) == (int(partition), int(offset))
        ]
    if not found:
        raise UserError(f"There is nothing at {position}: see `myaku rejected list`.")
    return found
