"""What came over HTTP on its way into the log: each event by itself, many requests in a batch."""

import asyncio
from collections.abc import Iterator, Sequence

from aiokafka import AIOKafkaProducer
from msgspec import UNSET

from services.ingest.accept import Event, Item
from services.ingest.publish import refused_record
from shared import metrics
from shared.events import USAGE_EVENTS, USAGE_REJECTED, encode
from shared.kafka import Record

TURN_EVENTS = 200
"""So many are queued before others get their turn."""


class Intake:
    """Puts examined events into `usage.events`, and refused ones into `usage.rejected`."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def send(self, items: Sequence[Item], source: str, received_ms: int) -> None:
        """Return when the broker has acknowledged all of them. Raises KafkaError.

        When it raises, or is cancelled, some may have been acknowledged and some not.
        """
        acknowledged = []
        for number, (topic, record) in enumerate(_records(items, source, received_ms)):
            key, value, headers = record
            future = await self._producer.send(topic, value, key=key, headers=headers)
            future.add_done_callback(_hear)
            acknowledged.append(future)
            if number % TURN_EVENTS == TURN_EVENTS - 1:
                await asyncio.sleep(0)
        await asyncio.gather(*acknowledged)
        for item in items:
            if not isinstance(item.body, Event):
                metrics.REJECTED.labels(reason=item.body.reason).inc()


def _records(items: Sequence[Item], source: str, received_ms: int) -> Iterator[tuple[str, Record]]:
    origin = {"source_topic": f"http:{source}"}
    for value, body in items:
        if isinstance(body, Event):
            key = None if body.account_id is UNSET else body.account_id.encode()
            yield USAGE_EVENTS, (key, encode(body), [])
        else:
            yield USAGE_REJECTED, refused_record(None, value, body, origin, received_ms)


def _hear(acknowledgement: "asyncio.Future[object]") -> None:
    """What fails after somebody else has failed is not a fault that nobody looked at."""
    if not acknowledgement.cancelled():
        acknowledgement.exception()
