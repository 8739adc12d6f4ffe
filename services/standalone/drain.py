"""Waiting until all that was sent has been scored, and every alert that it caused decided."""

import asyncio
import secrets

import httpx2

from shared import kafka
from shared.events import BARRIER, SIGNATURE_HEADER, USAGE_EVENTS, Barrier, encode, sign
from shared.runtime import UserError
from shared.settings import Settings

DRAIN_SECONDS = 25
POLL_SECONDS = 0.1


async def drain(settings: Settings, alerts: str) -> bool:
    """Send a barrier behind what was sent, and wait until `alerts` (http://…) has seen it.

    Whether it has within DRAIN_SECONDS.
    """
    try:
        async with asyncio.timeout(DRAIN_SECONDS), httpx2.AsyncClient() as client:
            waiting = await _send_barriers(settings)
            while waiting:
                if await _is_through(client, f"{alerts}/v1/barriers/{waiting[-1]}"):
                    waiting.pop()
                else:
                    await asyncio.sleep(POLL_SECONDS)
    except (TimeoutError, UserError):
        return False
    return True


async def _send_barriers(settings: Settings) -> list[str]:
    """One barrier for each source partition: each passes through all of those that follow."""
    drain_id = secrets.token_hex(8)
    producer = kafka.producer(settings)
    await kafka.start(producer, settings)
    try:
        count = await kafka.partitions_of(producer, USAGE_EVENTS)
        barriers = [Barrier(f"drain-{drain_id}-{partition}") for partition in range(count)]
        for partition, barrier in enumerate(barriers):
            value = encode(barrier)
            signature = sign(value, settings.secret_key.get_secret_value())
            await producer.send_and_wait(
                USAGE_EVENTS,
                value,
                key=BARRIER.encode(),
                partition=partition,
                headers=[(SIGNATURE_HEADER, signature)],
            )
    finally:
        await producer.stop()
    return [barrier.id for barrier in barriers]


async def _is_through(client: httpx2.AsyncClient, url: str) -> bool:
    try:
        answer = await client.get(url)
        return answer.status_code == httpx2.codes.OK and answer.json()["complete"] is True
    except (httpx2.HTTPError, ValueError, KeyError):
        return False
