"""One batch of one partition: read it, let the engine decide, save it, pass it on."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer, ConsumerRecord
from sqlalchemy.ext.asyncio import AsyncEngine

from services.scoring import relay
from services.scoring.engine import Effects, State, advance, decode
from services.scoring.engine.decode import Batch
from services.scoring.engine.dedupe import evict, wanted
from services.scoring.engine.windows import forget_things
from services.scoring.load import Loaded, load, load_seen, refuse_other_count
from services.scoring.rows import Rows, rows_of
from services.scoring.store import mark_relayed, save, save_log_id, save_partitions
from shared import metrics
from shared.database import snapshot, transaction
from shared.events import TICK, Marker
from shared.kafka import partition_of
from shared.offsets import Claim, claim
from shared.runtime import UserError, log
from shared.times import iso_time

T = TypeVar("T")

COMMIT_EVENTS_MAX = 50_000
COMMIT_TICKS_MAX = 250
"""A commit holds what arrived while the one before was running, up to these."""


@dataclass
class Partition:
    """What this worker holds of a partition it owns."""

    claim: Claim
    state: State
    partitions: int
    relayed: int | None = None  # outbox rows up to this number are in the log


class Scoring:
    """The scoring room of the consumer loop."""

    def __init__(
        self, database: AsyncEngine, producer: AIOKafkaProducer, *, owner: str, clock: str
    ) -> None:
        self.database = database
        self.producer = producer
        self.owner = owner
        self.clock = clock
        self.partitions: dict[int, Partition] = {}
        self.thread = ThreadPoolExecutor(1, "engine")

    async def load(self, partition: int, marker: Marker | None) -> int:
        """Claim a partition, load it, and send what a commit left unsent; the next offset."""
        if marker is None:
            raise UserError("usage.accepted has no log marker: make the topics with `myaku up`.")
        async with transaction(self.database) as connection:
            await refuse_other_count(connection, marker.partitions)
            held = await claim(connection, "scoring", partition, marker.id, self.owner)
            await save_partitions(connection, held, marker.partitions)
        async with snapshot(self.database) as connection:
            loaded = await load(connection, held)
        if loaded.state.clock.live and self.clock == "events":
            raise UserError(
                "This deployment is live and never returns to history: run it with --clock wall,"
                " or for a history of its own use a new directory, --data-dir DIR."
            )
        await self._send_again(loaded, held)
        relayed = loaded.outbox[-1][0] if loaded.outbox else None
        self.partitions[partition] = Partition(held, loaded.state, marker.partitions, relayed)
        return held.next

    async def _send_again(self, loaded: Loaded, held: Claim) -> None:
        """What the log lacks: the outbox that was left, and on a new log every newest record."""
        for _, records in loaded.outbox:
            await relay.send(self.producer, held.partition, records)
        if loaded.relayed_log_id != held.log_id:
            await relay.send(self.producer, held.partition, relay.newest(loaded.state))
            async with transaction(self.database) as connection:
                await save_log_id(connection, held)

    async def handle(self, partition: int, records: Sequence[ConsumerRecord]) -> None:
        """Handle records, in one transaction or, when they are many, in several."""
        for group in groups(records):
            await self._commit(self.partitions[partition], group)

    async def _commit(self, held: Partition, records: Sequence[ConsumerRecord]) -> None:
        batch = await self._gather(held.state, records)

        effects, rows = await self._in_thread(self._decide, held, batch)

        with metrics.COMMIT_SECONDS.time():
            async with transaction(self.database) as connection:
                offset = records[-1].offset + 1
                held.claim = await save(connection, held.claim, offset, rows)
                if held.relayed is not None:
                    await mark_relayed(connection, held.claim, held.relayed)
        held.relayed = None
        if effects.outbox:
            await relay.send(self.producer, held.claim.partition, effects.outbox)
            held.relayed = effects.number
        evict(held.state)
        if effects.closed:
            forget_things(held.state)
        _count(held, effects)

    async def _gather(self, state: State, records: Sequence[ConsumerRecord]) -> Batch:
        """Decode the records, and bring into memory the days of deduplication that they need."""
        batch, buckets = await self._in_thread(_read, state, records)
        if buckets:
            async with snapshot(self.database) as connection:
                await load_seen(connection, state, buckets)
        return batch

    def _decide(self, held: Partition, batch: Batch) -> tuple[Effects, Rows]:
        effects = advance(held.state, batch, lambda account: partition_of(account, held.partitions))
        return effects, rows_of(held.state, effects)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """The one thread that computes: the event loop is free for heartbeats meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, work, *arguments)

    def drop(self, partition: int) -> None:
        """Forget the partition's state."""
        self.partitions.pop(partition, None)
        with suppress(KeyError):
            metrics.CLOCK.remove(str(partition))


def groups(records: Sequence[ConsumerRecord]) -> Iterator[Sequence[ConsumerRecord]]:
    """Records in groups of one commit each: a tick may close a day, and weighs accordingly."""
    tick = TICK.encode()
    start = ticks = 0
    for at, record in enumerate(records):
        ticks += record.key == tick
        if at + 1 - start >= COMMIT_EVENTS_MAX or ticks >= COMMIT_TICKS_MAX:
            yield records[start : at + 1]
            start, ticks = at + 1, 0
    if start < len(records):
        yield records[start:]


def _read(state: State, records: Sequence[ConsumerRecord]) -> tuple[Batch, list[int]]:
    batch = decode((record.offset, record.key, record.value) for record in records)
    return batch, wanted(state, batch.events)


def _count(held: Partition, effects: Effects) -> None:
    metrics.COMMITS.inc()
    metrics.RECORDS.labels(kind="event").inc(effects.events)
    metrics.DUPLICATES.inc(effects.duplicates)
    metrics.TOO_OLD.inc(effects.too_old)
    metrics.PUBLISHED.inc(effects.published)
    metrics.QUARANTINED.inc(len(effects.quarantined))
    partition = str(held.claim.partition)
    for bad in effects.quarantined:
        log.error("record put aside", partition=partition, offset=bad.offset, reason=bad.reason)
    if held.state.clock.now_ms is not None:
        metrics.CLOCK.labels(partition=partition).set(held.state.clock.now_ms / 1000)
        log.debug("committed", partition=partition, clock=iso_time(held.state.clock.now_ms))
