"""What came over HTTP on its way into the log."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from msgspec import UNSET

from services.ingest.accept import Event, Item
from services.ingest.publish import refused_record
from services.ingest.refusals import Refusals
from shared.events import USAGE_EVENTS, USAGE_REJECTED, encode
from shared.kafka import Record, partition_of, send_in_order

Places = dict[tuple[str, int], list[Record]]


class Intake:
    """Puts examined events into `usage.events`, and refused ones into `usage.rejected`.

    `partitions` and `rejected` are the numbers of partitions that these have.
    """

    def __init__(self, producer: AIOKafkaProducer, partitions: int, rejected: int) -> None:
        self.one_large_at_a_time = asyncio.Semaphore(1)
        """As objects in memory a large body takes many times its bytes."""
        self.refusals = Refusals()
        """Told by the next tick."""
        self._producer = producer
        self._partitions = partitions
        self._rejected = rejected

    def spread(self, items: Sequence[Item], source: str, received_ms: int) -> Places:
        """Records by topic and partition. What names no account yet goes anywhere, by its id."""
        origin = {"source_topic": f"http:{source}"}
        places: Places = defaultdict(list)
        for number, (value, body) in enumerate(items):
            if isinstance(body, Event):
                account = None if body.account_id is UNSET else body.account_id
                partition = partition_of(account or body.id, self._partitions)
                key = account.encode() if account else None
                places[USAGE_EVENTS, partition].append((key, encode(body), []))
            else:
                record = refused_record(None, value, body, origin, received_ms)
                places[USAGE_REJECTED, number % self._rejected].append(record)
        return places

    async def send(self, places: Places) -> None:
        """Return when the broker has acknowledged all of them. Raises KafkaError or TimeoutError.

        When it raises, or is cancelled, some may have been acknowledged and some not.
        """
        sends = (
            send_in_order(self._producer, topic, partition, records)
            for (topic, partition), records in places.items()
        )
        faults = [end for end in await asyncio.gather(*sends, return_exceptions=True) if end]
        if faults:
            raise faults[0]
