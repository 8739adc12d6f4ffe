"""Sends what the traffic draws, half over HTTP and half through Kafka, until it is acknowledged."""

import asyncio
import random
from collections import Counter, deque
from contextlib import suppress
from typing import Any

import httpx2
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.events import USAGE_EVENTS
from tests.callers import bearing
from tests.chaos.fleet import Member
from tests.chaos.world import Sent
from tests.processes import passes

AT_ONCE = 200
SEND_SECONDS = 15
AGAIN_SECONDS = 0.3
IDLE_SECONDS = 0.05


class Sender:
    """Two ways in, each with what waits for it; what is not acknowledged is sent again."""

    def __init__(self, members: list[Member], write_key: str, broker: str, seed: int) -> None:
        self.members = members
        self.dice = random.Random(seed)
        self.client = httpx2.AsyncClient(headers=bearing(write_key), timeout=10, trust_env=False)
        self.producer = AIOKafkaProducer(
            bootstrap_servers=broker, acks="all", request_timeout_ms=5_000
        )
        self.waiting: dict[str, deque[Sent]] = {"http": deque(), "kafka": deque()}
        self.underway: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def put(self, records: list[Sent]) -> None:
        """Let these be sent."""
        for record in records:
            way = "http" if record.is_text and self.dice.randrange(2) else "kafka"
            self.waiting[way].append(record)

    @property
    def is_done(self) -> bool:
        """Whether all that was to be sent is acknowledged."""
        return not any(self.waiting.values()) and not self.underway.total()

    async def run(self) -> None:
        """Send for ever."""
        await self.producer.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send("http", self._post))
                tasks.create_task(self._send("kafka", self._produce))
        finally:
            await self.client.aclose()
            with suppress(TimeoutError):
                async with asyncio.timeout(SEND_SECONDS):
                    await self.producer.stop()

    async def _send(self, way: str, send: Any) -> None:
        while True:
            waiting = self.waiting[way]
            records = [waiting.popleft() for _ in range(min(AT_ONCE, len(waiting)))]
            self.underway[way] = len(records)
            left = await send(records) if records else []
            self.acknowledged[way] += len(records) - len(left)
            self.failed[way] += len(left)
            waiting.extend(left)
            self.underway[way] = 0
            await passes(AGAIN_SECONDS if left else IDLE_SECONDS)

    async def _post(self, records: list[Sent]) -> list[Sent]:
        """Those that were not acknowledged."""
        port = self.dice.choice(self.members).api
        body = b"\n".join(record.value for record in records)
        try:
            answer = await self.client.post(f"http://127.0.0.1:{port}/v1/events", content=body)
        except httpx2.HTTPError:
            return records
        if answer.status_code != httpx2.codes.OK:
            assert answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE, answer.text
            return records
        assert len(answer.json()["results"]) == len(records)
        return []

    async def _produce(self, records: list[Sent]) -> list[Sent]:
        ends = await asyncio.gather(*map(self._produce_one, records))
        return [record for record, is_sent in zip(records, ends, strict=True) if not is_sent]

    async def _produce_one(self, record: Sent) -> bool:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.producer.send_and_wait(USAGE_EVENTS, record.value, key=record.key)
        except (KafkaError, TimeoutError):
            return False
        return True
