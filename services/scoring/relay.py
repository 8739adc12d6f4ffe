"""The relay: committed records go out to their topics, in order, at least once."""

from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaProducer

from shared import kafka


async def send(
    producer: AIOKafkaProducer,
    partition: int,
    outgoing: Mapping[str, Sequence[tuple[bytes, bytes]]],
) -> None:
    """Send topics' (key, value) records to the partition; returns when the broker has them all."""
    for topic, records in outgoing.items():
        await kafka.send_in_order(
            producer, topic, partition, ((key, value, []) for key, value in records)
        )
