"""The relay: committed records go out to `health.changes`, in order, at least once."""

from collections.abc import Sequence

from aiokafka import AIOKafkaProducer

from shared import kafka
from shared.events import HEALTH_CHANGES


async def send(
    producer: AIOKafkaProducer, partition: int, records: Sequence[tuple[bytes, bytes]]
) -> None:
    """Send (key, value) records to the partition; returns when the broker has all of them."""
    await kafka.send_in_order(
        producer, HEALTH_CHANGES, partition, ((key, value, []) for key, value in records)
    )
