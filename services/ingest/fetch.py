"""The next records of `usage.events`, wherever each partition stands."""

from collections.abc import Mapping
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError

from services.ingest.owned import Owned
from shared import corrupt
from shared.corrupt import CorruptBatch, LogEntry

NOWHERE = TopicPartition("__none__", 0)
"""Polled without partitions: `getmany()` must go on, or the member never joins again."""

POLL_MS = 200
POLL_RECORDS_MAX = 5_000

Batch = dict[TopicPartition, list[LogEntry]]


async def fetch(consumer: AIOKafkaConsumer, owned: Mapping[TopicPartition, Owned]) -> Batch:
    """The next records; of a partition, those before a batch that cannot be read, and it."""
    ours = {place: owned[place] for place in consumer.assignment() if place in owned}
    for place, each in ours.items():
        if each.next is None:
            each.next = await consumer.position(place)
    offsets = {place: each.next for place, each in ours.items() if each.next is not None}
    batch = await corrupt.fetch(
        consumer, offsets or {NOWHERE: 0}, timeout_ms=POLL_MS, max_records=POLL_RECORDS_MAX
    )
    for place, entries in batch.items():
        # Taken away and given back while we waited: it stands where the group's offset was.
        held, first = owned.get(place), entries[0]
        if held and held.next is None:
            held.next = first.first if isinstance(first, CorruptBatch) else first.offset
    return batch


def rewind(consumer: AIOKafkaConsumer, owned: Mapping[TopicPartition, Owned]) -> None:
    """Back to where all is handled; a partition that is no longer ours its next owner reads."""
    for place, each in owned.items():
        if each.next is not None:
            with suppress(IllegalStateError):
                consumer.seek(place, each.next)
