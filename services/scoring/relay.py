"""The relay: committed records go out to `health.changes`, in order, at least once."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer

from services.scoring.engine import State
from shared.events import CONFIG, HEALTH_CHANGES, encode

SEND_SECONDS_MAX = 60


async def send(
    producer: AIOKafkaProducer, partition: int, records: Sequence[tuple[bytes, bytes]]
) -> None:
    """Send (key, value) records to the partition; returns when the broker has all of them.

    One request at a time is in flight to a partition, so that their order is kept.
    """
    acknowledged = []
    batch = producer.create_batch()
    for key, value in records:
        if batch.append(key=key, value=value, timestamp=None) is None:
            acknowledged.append(
                await producer.send_batch(batch, HEALTH_CHANGES, partition=partition)
            )
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    if batch.record_count():
        acknowledged.append(await producer.send_batch(batch, HEALTH_CHANGES, partition=partition))
    async with asyncio.timeout(SEND_SECONDS_MAX):
        await asyncio.gather(*acknowledged)


def newest(state: State) -> list[tuple[bytes, bytes]]:
    """What a new log starts with: the configuration, and every account's newest record."""
    records = [(CONFIG.encode(), state.active_config)] if state.active_config else []
    published = sorted(filter(None, state.accounts.published), key=lambda one: one.account_id)
    return records + [(health.account_id.encode(), encode(health)) for health in published]
