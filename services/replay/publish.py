"""Sending a replay into one partition of `usage.events`, in order, as far as is acknowledged."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from shared import kafka
from shared.barriers import signed
from shared.events import USAGE_EVENTS, Tick
from shared.history.lines import NO_TIME, Line, head

PARTITION = 0
BATCH_ITEMS = 4_000
BATCHES_A_SECOND = 5
"""With a rate, a batch is so small that they go out this often."""

Item = Line | Tick


class Sent(NamedTuple):
    """What one batch brought: items and lines in it, and how far in time it went."""

    items: int
    lines: int
    time_ms: int


async def publish(
    producer: AIOKafkaProducer, items: Iterator[Item], secret_key: str, rate: int | None
) -> AsyncIterator[Sent]:
    """Send all items; what is yielded is acknowledged by the broker. `rate` is lines a second."""
    loop = asyncio.get_running_loop()
    size = min(BATCH_ITEMS, max(1, rate // BATCHES_A_SECOND)) if rate else BATCH_ITEMS
    start, lines = loop.time(), 0
    while batch := await asyncio.to_thread(lambda: list(islice(items, size))):
        records = [record(item, secret_key) for item in batch]
        await kafka.send_in_order(producer, USAGE_EVENTS, PARTITION, records)
        sent = _sent(batch)
        lines += sent.lines
        yield sent
        if rate:
            await asyncio.sleep(start + lines / rate - loop.time())


def record(item: Item, secret_key: str) -> kafka.Record:
    """As it goes into the log: a line as it is, keyed by its account; a tick signed."""
    if isinstance(item, Tick):
        return signed(item, secret_key)
    known = head(item.value)
    account = known.account_id if known and isinstance(known.account_id, str) else ""
    return account.encode(errors="replace"), item.value, []


def _sent(batch: Sequence[Item]) -> Sent:
    times = [item.time_ms for item in batch if isinstance(item, Line)]
    return Sent(len(batch), len(times), times[-1] if times else NO_TIME)
