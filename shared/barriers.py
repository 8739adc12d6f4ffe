"""Our own records in `usage.events`: signed, and the barriers behind which all is done."""

import secrets

import httpx2
from aiokafka import AIOKafkaProducer

from shared.events import (
    SIGNATURE_HEADER,
    USAGE_EVENTS,
    Barrier,
    Erasure,
    Tick,
    control_key,
    encode,
    sign,
)


def signed(
    record: Tick | Barrier | Erasure, secret_key: str
) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """The key, value and headers with which ingest lets a record of ours in."""
    value = encode(record)
    return control_key(record), value, [(SIGNATURE_HEADER, sign(value, secret_key))]


async def send_barrier(producer: AIOKafkaProducer, partition: int, secret_key: str) -> str:
    """Send a barrier behind what a partition of `usage.events` holds; its id."""
    barrier = Barrier(secrets.token_hex(16))
    key, value, headers = signed(barrier, secret_key)
    await producer.send_and_wait(USAGE_EVENTS, value, key=key, partition=partition, headers=headers)
    return barrier.id


async def is_through(client: httpx2.AsyncClient, alerts: str, barrier_id: str) -> bool:
    """Whether all before the barrier is scored and decided, as `alerts` (http://…) says."""
    try:
        answer = await client.get(f"{alerts}/v1/barriers/{barrier_id}")
        return answer.status_code == httpx2.codes.OK and answer.json()["complete"] is True
    except (httpx2.HTTPError, ValueError, KeyError):
        return False
