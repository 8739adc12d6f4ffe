"""The relay: committed records go out to `health.changes`, in order, at least once."""

from collections.abc import Sequence

from aiokafka import AIOKafkaProducer

from services.scoring.engine import State
from shared import kafka
from shared.events import CONFIG, HEALTH_CHANGES


async def send(
    producer: AIOKafkaProducer, partition: int, records: Sequence[tuple[bytes, bytes]]
) -> None:
    """Send (key, value) records to the partition; returns when the broker has all of them."""
    await kafka.send_in_order(
        producer, HEALTH_CHANGES, partition, ((key, value, []) for key, value in records)
    )


def newest(state: State) -> list[tuple[bytes, bytes]]:
    """What a new log starts with: the configuration, and every account's newest record."""
    records = [(CONFIG.encode(), state.active_config)] if state.active_config else []
    published = zip(state.accounts.ids, state.accounts.published, strict=True)
    return records + sorted((identity.encode(), record) for identity, record in published if record)
