"""Waiting until all that was sent has been scored, and every alert that it caused decided."""

import asyncio

import httpx2
from aiokafka.errors import KafkaError

from shared import kafka
from shared.barriers import is_through, send_barrier
from shared.data_dir import UpFile
from shared.events import USAGE_EVENTS
from shared.runtime import UserError
from shared.settings import Settings

POLL_SECONDS = 0.1


async def drain(settings: Settings, up_file: UpFile, seconds: float) -> bool:
    """Send a barrier behind what was sent, and wait until alerts has seen it.

    Whether it has within so many seconds.
    """
    try:
        async with asyncio.timeout(seconds), httpx2.AsyncClient(headers=up_file.headers) as client:
            waiting = await _send_barriers(settings)
            while waiting:
                if await is_through(client, up_file.alerts, waiting[-1]):
                    waiting.pop()
                else:
                    await asyncio.sleep(POLL_SECONDS)
    except (TimeoutError, KafkaError, UserError):
        return False
    return True


async def _send_barriers(settings: Settings) -> list[str]:
    """One barrier for each source partition: each passes through all of those that follow."""
    secret_key = settings.secret_key.get_secret_value()
    producer = kafka.producer(settings)
    await kafka.start(producer, settings)
    try:
        count = await kafka.partitions_of(producer, USAGE_EVENTS)
        return [await send_barrier(producer, number, secret_key) for number in range(count)]
    finally:
        await producer.stop()
