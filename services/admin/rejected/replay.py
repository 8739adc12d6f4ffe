"""Sending what was refused again to `usage.events`, under the ids that it has."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from sqlalchemy.ext.asyncio import AsyncEngine

from services.admin.rejected.entry import Entry, Filters
from services.admin.rejected.reading import (
    TABLES,
    Span,
    all_put_aside,
    all_refused,
    reading,
    span_of,
)
from services.admin.rejected.verdict import Again, user_of, verdict
from shared import kafka
from shared.database import snapshot
from shared.events import REPLAYED_HEADER, USAGE_EVENTS
from shared.native.erasure import person
from shared.runtime import now_ms
from shared.settings import Settings

PAGE = 500
POLL_SECONDS = 0.2


@dataclass
class Plan:
    """What a replay would do: how many of which reason it sends, and why it does not send others.

    Its span is what there was when it was made: what is refused meanwhile is no part of it.
    """

    span: Span
    sends: Counter[str] = field(default_factory=Counter)
    leaves: Counter[str] = field(default_factory=Counter)


@dataclass
class Outcome:
    """What became of what was sent; `handled` is whether ingest has come to all of it."""

    sent: int
    handled: bool
    refused: Counter[str] = field(default_factory=Counter)


class Replay:
    """One replay of what some filters ask for."""

    def __init__(self, settings: Settings, database: AsyncEngine, filters: Filters) -> None:
        self.settings = settings
        self.database = database
        self.filters = filters
        self.secret_key = settings.secret_key.get_secret_value()

    async def plan(self) -> Plan:
        """Look at everything, and send nothing. Raises UserError."""
        async with reading(self.settings) as consumer:
            plan = Plan(await span_of(consumer))
            async for entry, decided in self._decided(consumer, plan.span):
                if isinstance(decided, Again):
                    plan.sends[entry.reason] += 1
                else:
                    plan.leaves[decided] += 1
        return plan

    async def send(self, plan: Plan) -> dict[TopicPartition, int]:
        """Send what was planned; the newest offset by place. Raises KafkaError and UserError."""
        producer = kafka.producer(self.settings)
        await kafka.start(producer, self.settings)
        try:
            async with reading(self.settings) as consumer:
                return await self._send(plan, producer, consumer)
        finally:
            await producer.stop()

    async def _send(
        self, plan: Plan, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer
    ) -> dict[TopicPartition, int]:
        partitions = await kafka.need_partitions(producer, USAGE_EVENTS, self.settings)
        newest: dict[TopicPartition, int] = {}
        page: dict[int, list[kafka.Record]] = defaultdict(list)
        async for entry, decided in self._decided(consumer, plan.span):
            if isinstance(decided, Again):
                place = _partition(entry, decided, partitions)
                page[place].append((decided.key, decided.value, decided.headers))
                if len(page[place]) >= PAGE:
                    newest |= await _send(producer, place, page.pop(place))
        for place, records in page.items():
            newest |= await _send(producer, place, records)
        return newest

    async def outcome(
        self, plan: Plan, newest: dict[TopicPartition, int], wait_seconds: float
    ) -> Outcome:
        """Wait until ingest has handled what was sent, and look what it refused."""
        outcome = Outcome(plan.sends.total(), await self._handled(newest, wait_seconds))
        async with reading(self.settings) as consumer:
            span = await span_of(consumer)
            async for entry in all_refused(consumer, span, plan.span.ends):
                if REPLAYED_HEADER in entry.headers:
                    outcome.refused[entry.reason] += 1
        return outcome

    async def _handled(self, newest: dict[TopicPartition, int], wait_seconds: float) -> bool:
        group = AIOKafkaConsumer(
            **kafka.client_options(self.settings),
            group_id=f"{self.settings.group}-ingest",
            enable_auto_commit=False,
        )
        await kafka.start(group, self.settings)
        try:
            async with asyncio.timeout(wait_seconds):
                for place, offset in newest.items():
                    while (await group.committed(place) or 0) <= offset:  # noqa: ASYNC110 - nobody tells
                        await asyncio.sleep(POLL_SECONDS)
            return True
        except TimeoutError:
            return False
        finally:
            await group.stop()

    async def _decided(
        self, consumer: AIOKafkaConsumer, span: Span
    ) -> AsyncIterator[tuple[Entry, Again | str]]:
        """Everything that is asked for, with what is to become of it; in memory is a page."""
        page: list[Entry] = []
        async for entry in self._all(consumer, span):
            if self.filters.match(entry):
                page.append(entry)
            if len(page) >= PAGE:
                for decided in await self._decide(page):
                    yield decided
                page = []
        for decided in await self._decide(page):
            yield decided

    async def _all(self, consumer: AIOKafkaConsumer, span: Span) -> AsyncIterator[Entry]:
        async for entry in all_refused(consumer, span):
            yield entry
        for kept_in in TABLES:
            async for entry in all_put_aside(self.database, kept_in):
                yield entry

    async def _decide(self, page: Sequence[Entry]) -> list[tuple[Entry, Again | str]]:
        named = {person(user, self.secret_key): user for user in map(user_of, page) if user}
        erased: dict[str, str] = {}
        if named:
            async with snapshot(self.database) as connection:
                rows = await connection.exec_driver_sql(
                    "SELECT person, time FROM ingest.erased WHERE person = ANY($1::bytea[])",
                    (list(named),),
                )
                erased = {named[bytes(row.person)]: row.time for row in rows}
        at_ms = now_ms()
        return [(entry, verdict(entry, at_ms, self.secret_key, erased)) for entry in page]


def _partition(entry: Entry, again: Again, partitions: int) -> int:
    """Where it stood, so that the order stays; else where HTTP puts an event."""
    topic, _, place = entry.origin.partition("/")
    stood_in = place.partition("/")[0]
    if topic == USAGE_EVENTS and stood_in.isdecimal():
        return int(stood_in) % partitions
    return kafka.partition_of(again.account_id or str(entry.body.get("id")), partitions)


async def _send(
    producer: AIOKafkaProducer, partition: int, records: list[kafka.Record]
) -> dict[TopicPartition, int]:
    """Send records in order; the offset of the last one."""
    await kafka.send_in_order(producer, USAGE_EVENTS, partition, records[:-1])
    key, value, headers = records[-1]
    sent = await producer.send_and_wait(
        USAGE_EVENTS, value, key=key, partition=partition, headers=headers
    )
    return {TopicPartition(USAGE_EVENTS, partition): sent.offset}
