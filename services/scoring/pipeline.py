"""One batch of one partition: read it, let the engine decide, save it, pass it on."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer
from sqlalchemy.ext.asyncio import AsyncEngine

from services.scoring import relay
from services.scoring.engine import Effects, State, advance, decode
from services.scoring.engine.columns import Columns
from services.scoring.engine.decode import Batch, Quarantined
from services.scoring.engine.dedupe import evict, wanted
from services.scoring.engine.users.days import forget_users
from services.scoring.engine.windows import forget_things
from services.scoring.load import Loaded, load, load_seen
from services.scoring.newest import load_newest
from services.scoring.rows import Outgoing, Rows, rows_of
from services.scoring.sources import forget_sources, measure_sources, tell_turns
from services.scoring.store import mark_relayed, save, save_log_id, save_partitions
from services.scoring.tables.backfill import load_learned
from services.scoring.tables.partition import Reader
from shared import metrics, rehearsal
from shared.corrupt import LogEntry, apart
from shared.database import snapshot, transaction
from shared.events import TICK, Backfilled, Marker
from shared.kafka import partition_of
from shared.log_identity import recognise
from shared.offsets import Claim, claim, stands
from shared.runtime import UserError, log
from shared.times import iso_time

T = TypeVar("T")

COMMIT_EVENTS_MAX = 50_000
COMMIT_TICKS_MAX = 250
"""A commit holds what arrived while the one before was running, up to these."""

TICK_MS = 120_000
"""Ticks come each minute: one that is older than the newest by more than this is missing."""


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
        self,
        database: AsyncEngine,
        producer: AIOKafkaProducer,
        *,
        owner: str,
        moved_by: str,
        now_ms: Callable[[], int],
    ) -> None:
        self.database = database
        self.producer = producer
        self.owner = owner
        self.moved_by = moved_by
        self.now_ms = now_ms
        self.partitions: dict[int, Partition] = {}
        self.thread = ThreadPoolExecutor(1, "engine")

    async def load(self, partition: int, marker: Marker | None) -> int:
        """Claim a partition, load it, and send what a commit left unsent; the next offset.

        What is held of a partition that comes back in a rebalance is kept, if it still stands.
        """
        kept = self.partitions.get(partition)
        async with transaction(self.database) as connection:
            marker = await recognise(connection, "scoring", partition, marker)
            if kept and await stands(connection, kept.claim):
                metrics.REUSES.inc()
                return kept.claim.next
            held = await claim(connection, "scoring", partition, marker.id, self.owner)
            await save_partitions(connection, held, marker.partitions)
        rehearsal.reach("load")
        async with snapshot(self.database, unhurried=True) as connection:
            loaded = await load(connection, held)
        if loaded.state.clock.live and self.moved_by == "events":
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
        for _, outgoing in loaded.outbox:
            await self._relay(held.partition, outgoing)
        if loaded.relayed_log_id != held.log_id:
            async with snapshot(self.database, unhurried=True) as connection:
                newest = await load_newest(connection, loaded.state)
            await self._relay(held.partition, newest)
            async with transaction(self.database) as connection:
                await save_log_id(connection, held)

    async def _relay(self, partition: int, outgoing: Outgoing) -> None:
        waiting = metrics.RELAY.labels(partition=str(partition))
        waiting.set(sum(map(len, outgoing.values())))
        await relay.send(self.producer, partition, outgoing)
        waiting.set(0)

    async def handle(self, partition: int, records: Sequence[LogEntry]) -> None:
        """Handle records, in one transaction or, when they are many, in several."""
        for group in groups(records):
            await self._commit(self.partitions[partition], group)

    async def _commit(self, held: Partition, records: Sequence[LogEntry]) -> None:
        batch = await self._gather(held.state, records)

        effects, rows = await self._in_thread(self._decide, held, batch)

        rehearsal.reach("scoring.before-fence")
        with metrics.COMMIT_SECONDS.time():
            async with transaction(self.database) as connection:
                offset = records[-1].offset + 1
                held.claim = await save(connection, held.claim, offset, rows)
                if held.relayed is not None:
                    await mark_relayed(connection, held.claim, held.relayed)
                rehearsal.reach("scoring.before-commit")
        rehearsal.reach("scoring.after-commit")
        held.relayed = None
        if effects.outgoing:
            await self._relay(held.claim.partition, effects.outgoing)
            held.relayed = effects.number
        rehearsal.reach("scoring.after-relay")
        evict(held.state)
        if effects.closed:
            forget_things(held.state)
            forget_users(held.state)
        _count(held, effects)
        if len(batch.events):
            _measure(held.claim.partition, batch.events, self.now_ms())

    async def _gather(self, state: State, records: Sequence[LogEntry]) -> Batch:
        """Decode the records, and bring into memory what they need of the database."""
        batch, buckets = await self._in_thread(read_batch, state, records)
        backfills = [
            record.body.id for _, record in batch.controls if isinstance(record.body, Backfilled)
        ]
        if buckets or backfills:
            async with snapshot(self.database) as connection:
                await load_seen(connection, state, buckets)
                await load_learned(Reader(connection, state.partition), state, backfills)
        return batch

    def _decide(self, held: Partition, batch: Batch) -> tuple[Effects, Rows]:
        effects = advance(held.state, batch, lambda account: partition_of(account, held.partitions))
        return effects, rows_of(held.state, effects)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """The one thread that computes: the event loop is free for heartbeats meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, work, *arguments)

    def clock(self, partition: int) -> tuple[int | None, str]:
        """Where the partition's clock stands, and of which source partitions it waits for ticks."""
        state = self.partitions[partition].state
        clock = state.clock
        measure_sources(state)
        newest = dict(clock.live_ticks_ms)
        for source, at_ms in newest.items():
            metrics.SOURCE_TICK.labels(source_partition=str(source)).set(at_ms / 1000)
        silent = _silent(newest, clock.source_partitions)
        return clock.now_ms, f"ingest sends no tick of {silent}"

    def drop(self, partition: int) -> None:
        """Forget the partition's state."""
        self.partitions.pop(partition, None)
        metrics.RELAY.remove_by_labels({"partition": str(partition)})
        metrics.NEWEST_EVENT.remove_by_labels({"partition": str(partition)})
        if not self.partitions:
            metrics.SOURCE_TICK.clear()
            forget_sources()


def groups(records: Sequence[LogEntry]) -> Iterator[Sequence[LogEntry]]:
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


def read_batch(state: State, records: Sequence[LogEntry]) -> tuple[Batch, list[int]]:
    """The records decoded, and the buckets of what was seen that they need in memory."""
    whole, corrupt = apart(records)
    batch = decode(whole, state)
    batch.bad.extend(Quarantined(each.offset, each.reason, b"") for each in corrupt)
    return batch, wanted(state, batch.events)


def _count(held: Partition, effects: Effects) -> None:
    tell_turns(held.state, effects.sources.turns)
    metrics.COMMITS.inc()
    metrics.RECORDS.labels(kind="event").inc(effects.events)
    metrics.DUPLICATES.inc(effects.duplicates)
    metrics.TOO_OLD.inc(effects.too_old)
    metrics.FIELDS_LEFT_OUT.inc(effects.fields_left_out)
    metrics.PUBLISHED.inc(effects.published)
    metrics.QUARANTINED.inc(len(effects.quarantined))
    partition = str(held.claim.partition)
    for bad in effects.quarantined:
        log.error("record put aside", partition=partition, offset=bad.offset, reason=bad.reason)
    if held.state.clock.now_ms is not None:
        log.debug("committed", partition=partition, clock=iso_time(held.state.clock.now_ms))


def _measure(partition: int, events: Columns, now_ms: int) -> None:
    newest_ms = min(int(events.times_ms.max()), now_ms)
    metrics.NEWEST_EVENT.labels(partition=str(partition)).set(newest_ms / 1000)
    waited_ms = now_ms - int(events.received_ms.min())
    metrics.EVENT_SECONDS.observe(max(0, waited_ms) / 1000)


def _silent(newest_ms: Mapping[int, int], source_partitions: int) -> str:
    """The source partitions whose ticks are the oldest or missing, in words."""
    missing = [source for source in range(source_partitions) if source not in newest_ms]
    latest_ms = max(newest_ms.values(), default=0)
    older = [source for source, at_ms in sorted(newest_ms.items()) if at_ms < latest_ms - TICK_MS]
    silent = missing or older
    if not silent:
        return "any source partition"
    return "source partition " + ", ".join(str(source) for source in silent)
