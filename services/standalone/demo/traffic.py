"""Sends what the simulated customers do live: over HTTP with the write key, and through Kafka."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx2
import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.standalone.demo.history import BACKEND, Event
from services.standalone.demo.live import Live
from services.standalone.demo.product import Account
from shared.data_dir import UpFile
from shared.events import USAGE_EVENTS
from shared.runtime import UserError, now_ms

HTTP, KAFKA = "HTTP", "Kafka"
AGAIN_SECONDS = 1.0
LAST_SECONDS = 10.0
"""How long the last second's events may take once the demo is to end."""


class Traffic:
    """The customers from now on, and how many of their events were acknowledged on each way."""

    def __init__(self, customers: Sequence[Account], up_file: UpFile) -> None:
        self._up_file = up_file
        self._live = Live(customers, datetime.fromtimestamp(now_ms() / 1000, UTC))
        self._ended = asyncio.Event()
        self.sent: Counter[str] = Counter()

    async def run(self) -> None:
        """Send each second's events when it is over, until `end`. Raises UserError."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        producer = AIOKafkaProducer(bootstrap_servers=self._up_file.kafka, acks="all")
        try:
            await producer.start()
            async with httpx2.AsyncClient() as client:
                number = 0
                while not await self._is_ended(start + number + 1 - loop.time()):
                    await self._send(client, producer, self._live.second(number))
                    number += 1
        except KafkaError as error:
            raise UserError(f"The simulated product lost the broker: {error}.") from None
        finally:
            await producer.stop()

    async def end(self, running: "asyncio.Task[None]") -> None:
        """Let the events that are on their way arrive, so that each is known to be sent or not."""
        self._ended.set()
        await asyncio.wait({running}, timeout=LAST_SECONDS)

    async def _is_ended(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._ended.wait(), max(seconds, 0))
        except TimeoutError:
            return False
        return True

    async def _send(
        self, client: httpx2.AsyncClient, producer: AIOKafkaProducer, events: Sequence[Event]
    ) -> None:
        by_kafka = [event for event in events if way(event) == KAFKA]
        by_http = [event for event in events if way(event) == HTTP]
        for event in by_kafka:
            value = msgspec.json.encode(event)
            await producer.send_and_wait(USAGE_EVENTS, value, key=event["account_id"].encode())
            self.sent[KAFKA] += 1
        if by_http:
            await self._post(client, by_http)

    async def _post(self, client: httpx2.AsyncClient, events: Sequence[Event]) -> None:
        """Post until it is acknowledged: what arrives twice is counted once."""
        headers = {"Authorization": f"Bearer {self._up_file.write_key}"}
        while True:
            try:
                answer = await client.post(
                    f"{self._up_file.ingest}/v1/events", json=list(events), headers=headers
                )
                if answer.status_code == httpx2.codes.OK:
                    self.sent[HTTP] += answer.json()["accepted"]
                    return
                if answer.is_client_error:
                    raise UserError(f"The simulated product's events are refused: {answer.text}.")
            except httpx2.TransportError:
                pass  # ingest is being started again
            await asyncio.sleep(AGAIN_SECONDS)


def way(event: Event) -> str:
    """The customers' backends use Kafka, their browsers HTTP."""
    return KAFKA if event["source"] == BACKEND else HTTP
