"""The pipeline: `usage.events` in, `usage.accepted` and `usage.rejected` out, at least once.

Gather, decide, publish and await every acknowledgement, save, and only then commit the offsets.
Whatever fails, the whole batch is read and sent again: what comes twice dies in scoring.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest import store
from services.ingest.accept import (
    Known,
    Memberships,
    Outcome,
    Reading,
    Refused,
    SigningRules,
    SourceRecord,
    decide,
    read,
    users,
)
from services.ingest.erasures import erase, erased_among
from services.ingest.fetch import Batch, fetch, rewind
from services.ingest.owned import Owned, keep_sources, remember_sources
from services.ingest.parking import Sweeper
from services.ingest.publish import Publisher
from services.ingest.refusals import Refusals, source_of
from services.ingest.ticks import Progress
from shared import corrupt, kafka, metrics, rehearsal
from shared.corrupt import CorruptBatch, LogEntry
from shared.database import LOST, snapshot, transaction
from shared.events import REPLAYED_HEADER, SIGNATURE_HEADER, TICK, USAGE_EVENTS, Tick, encode
from shared.runtime import Running, log
from shared.settings import Settings
from shared.stuck import Watchdog
from shared.times import iso_time
from shared.watch import Clock

FINISH_SECONDS = 10
RETRY_SECONDS_MIN = 0.2
RETRY_SECONDS_MAX = 10.0


class Ingest(ConsumerRebalanceListener):  # type: ignore[misc]
    """Runs the pipeline over the partitions that the consumer group gives to this process."""

    make_consumer: Callable[..., AIOKafkaConsumer] = staticmethod(AIOKafkaConsumer)
    """The way to the broker: a simulation sets its own."""

    def __init__(
        self,
        settings: Settings,
        database: AsyncEngine,
        publisher: Publisher,
        now_ms: Callable[[], int],
        running: Running,
        refusals: Refusals,
    ) -> None:
        self.settings = settings
        self.database = database
        self.publisher = publisher
        self.now_ms = now_ms
        self.running = running
        self.refusals = refusals
        self.owned: dict[TopicPartition, Owned] = {}
        self.busy = asyncio.Lock()
        self.consumer: AIOKafkaConsumer
        self.watchdog: Watchdog

    async def run(self) -> None:
        """Consume until the process is to stop."""
        self.running.readiness.wait("partitions", "waiting for the consumer group")
        self.consumer = self.make_consumer(
            **kafka.group_options(self.settings, f"{self.settings.group}-ingest"),
            auto_offset_reset="earliest",
        )
        await kafka.start(self.consumer, self.settings)
        self.watchdog = Watchdog(self.consumer, USAGE_EVENTS)
        try:
            await kafka.need_partitions(self.consumer, USAGE_EVENTS, self.settings)
            self.consumer.subscribe([USAGE_EVENTS], listener=self)
            await self.watchdog.beside(self._poll())
        finally:
            await self.consumer.stop()

    async def _poll(self) -> None:
        pause_seconds = RETRY_SECONDS_MIN
        while not self.running.stop.is_set():
            try:
                batch = await fetch(self.consumer, self.owned)
                async with self.busy:
                    if batch:
                        await self._handle(batch)
                    await self._tick()
                pause_seconds = RETRY_SECONDS_MIN
                self.running.readiness.facts.pop("failing", None)
                await self._measure()
                await self.watchdog.check(self.consumer.assignment())
                await self.publisher.check_partitions()
            except (KafkaError, *LOST) as error:
                why = str(error) or repr(error)
                log.warning("batch not done, comes again", why=why)
                self.running.readiness.facts["failing"] = why
                rewind(self.consumer, self.owned)
                await self._measure()
                await self.running.pause(pause_seconds)
                pause_seconds = min(pause_seconds * 2, RETRY_SECONDS_MAX)

    async def _handle(self, batch: Batch) -> None:
        received_ms = self.now_ms()
        rules = self._rules()
        readings = [
            _reading(place, entry, received_ms, rules)
            for place, entries in batch.items()
            for entry in entries
        ]
        known = await self._gather(readings, batch)

        outcome = decide(readings, known)

        await self.publisher.send(outcome.accepted, outcome.rejected, received_ms)
        rehearsal.reach("ingest.after-acks")
        if outcome.changes_database:
            async with transaction(self.database) as connection:
                await erase(connection, outcome.erased.new, self._secret_key)
                await store.save(connection, outcome)
        for partition, tick_ms in outcome.newest_tick_ms.items():
            await self._sweep(partition, tick_ms)
        self._note_sources(outcome)
        await self._keep_sources(batch)
        rehearsal.reach("ingest.before-offsets")
        await self._commit(batch)
        for place, entries in batch.items():
            if owned := self.owned.get(place):
                owned.next = entries[-1].offset + 1
        self._note(outcome, batch)

    @property
    def _secret_key(self) -> str:
        return self.settings.secret_key.get_secret_value()

    def _rules(self) -> SigningRules:
        return SigningRules(
            self._secret_key,
            live=self.settings.clock == "wall",
            source_partitions=self._source_partitions(),
        )

    def _source_partitions(self) -> int:
        return len(self.consumer.partitions_for_topic(USAGE_EVENTS) or ())

    async def _gather(self, readings: Sequence[Reading], batch: Batch) -> Known:
        """What is known of the users whom the batch needs, read in one moment."""
        whom = users(readings)
        if not whom.named:
            return Known()
        known, joining = Known(), whom.joining
        async with snapshot(self.database) as connection:
            known.erased = await erased_among(connection, whom.named, self._secret_key)
            if whom.needed:
                found = await store.memberships_of(connection, whom.needed)
                known.memberships = Memberships(found)
            if joining:
                partitions = [place.partition for place in batch]
                known.parked = await store.parked_of(connection, partitions, joining)
        return known

    async def _sweep(self, partition: int, tick_ms: int) -> None:
        sweeper = Sweeper(self.database, self.publisher, self._secret_key, self.now_ms())
        await sweeper.sweep(partition, tick_ms)

    async def _commit(self, batch: Batch) -> None:
        """Move the group's offsets past what is acknowledged, where the partition is still ours."""
        ours = self.consumer.assignment()
        offsets = {
            place: records[-1].offset + 1 for place, records in batch.items() if place in ours
        }
        if not offsets:
            return
        try:
            await self.consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            log.info("offsets not committed: the group is changing", why=str(error))

    def _note_sources(self, outcome: Outcome) -> None:
        for (partition, source), time in outcome.newest_event.items():
            if owned := self.owned.get(TopicPartition(USAGE_EVENTS, partition)):
                owned.note(source, time)

    async def _keep_sources(self, batch: Batch) -> None:
        """For the next owner of a partition. Of a history scoring keeps what its ticks told."""
        if self.settings.clock == "wall":
            for place in sorted(batch.keys() & self.owned.keys()):
                await keep_sources(self.database, place.partition, self.owned[place])

    def _note(self, outcome: Outcome, batch: Batch) -> None:
        for entries in batch.values():
            metrics.QUARANTINED.inc(len(corrupt.apart(entries)[1]))
        metrics.RECORDS.labels(kind="read").inc(outcome.read)
        for kind, count in outcome.counts.items():
            metrics.RECORDS.labels(kind=kind).inc(count)
        metrics.PARKED.inc(outcome.counts.get("parked", 0))
        for rejected in outcome.rejected:
            metrics.REJECTED.labels(reason=rejected.refused.reason).inc()
            self.refusals.note(source_of(rejected.record.value))

    async def _measure(self) -> None:
        """How far each partition is behind: what was read has been handled, or is read again."""
        for place, owned in list(self.owned.items()):
            highwater = self._highwater(place)
            if highwater is not None:
                with suppress(IllegalStateError):  # taken away meanwhile
                    owned.behind = max(0, highwater - await self.consumer.position(place))
                    metrics.LAG.labels(partition=str(place.partition)).set(owned.behind)

    def _highwater(self, place: TopicPartition) -> int | None:
        """None also where the partition is not ours any more."""
        ours = place in self.owned and place in self.consumer.assignment()
        return self.consumer.highwater(place) if ours else None

    def clocks(self) -> list[Clock]:
        """The newest tick of each source partition of this process, and who holds the next."""
        return [
            Clock(
                place.partition,
                owned.ticker.written_ms,
                f"ingest is behind in partition {place.partition} of {place.topic}"
                if owned.behind
                else f"ingest gets no answer about partition {place.partition} of {place.topic}",
            )
            for place, owned in self.owned.items()
        ]

    async def _tick(self) -> None:
        """Write the live ticks that are due. All that was polled has been acknowledged here."""
        if self.settings.clock == "events":
            return
        for place, owned in list(self.owned.items()):
            if (highwater := self._highwater(place)) is None:
                continue
            progress = Progress(
                self.consumer.last_poll_timestamp(place),
                highwater,
                await self.consumer.position(place),
            )
            time_ms = owned.ticker.due(self.now_ms(), progress)
            if time_ms is not None:
                await self._write_tick(place.partition, owned, time_ms)

    async def _write_tick(self, partition: int, owned: Owned, time_ms: int) -> None:
        await remember_sources(self.database, partition, owned)
        refused = self.refusals.take()
        count, sources = self._source_partitions(), dict(owned.sources)
        tick = Tick(partition, count, iso_time(time_ms), "live", sources, refused)
        try:
            await self.publisher.send([(None, TICK.encode(), encode(tick))])
        except (KafkaError, TimeoutError):
            self.refusals.give_back(refused)
            raise
        owned.ticker.written()
        metrics.TICKS.labels(source_partition=str(partition)).inc()
        async with transaction(self.database) as connection:
            await store.start_waiting(connection, partition, time_ms)
        await self._sweep(partition, time_ms)

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Synchronous on purpose: heartbeats stand still while it runs."""
        self.watchdog.assigned()
        self.owned |= {place: Owned() for place in assigned}
        self.running.readiness.done("partitions")

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Let what is being handled end, so that the next owner starts behind it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS), self.busy:
                pass
        self.watchdog.revoked()
        for place in revoked:
            self.owned.pop(place, None)
            metrics.LAG.remove_by_labels({"partition": str(place.partition)})


def _reading(
    place: TopicPartition, entry: LogEntry, received_ms: int, rules: SigningRules
) -> Reading:
    headers = dict(entry.headers)
    signature, replayed_from = headers.get(SIGNATURE_HEADER), headers.get(REPLAYED_HEADER)
    record = SourceRecord(
        place.partition, entry.offset, entry.key, entry.value, signature, replayed_from
    )
    if isinstance(entry, CorruptBatch):
        return Reading(record, Refused("corrupt_batch", entry.reason))
    return read(record, received_ms, rules)
