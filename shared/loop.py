"""The consumer loop: Kafka's partitions in, one transaction at a time out.

A room says how a partition is loaded and how its records are handled; the loop sees to it that
records come in order, from the offset that the database names, only while the partition is
loaded, and that whatever fails is thrown away and loaded again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from aiokafka import (
    AIOKafkaConsumer,
    ConsumerRebalanceListener,
    TopicPartition,
)
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from shared import corrupt, kafka, metrics, rehearsal, topics
from shared.corrupt import LogEntry
from shared.database import LOST
from shared.events import Marker
from shared.lane import Lane
from shared.log_identity import other_count
from shared.offsets import Fenced
from shared.runtime import Running, UserError, log
from shared.settings import Settings
from shared.stuck import Watchdog
from shared.watch import Clock

NOWHERE = TopicPartition("__none__", 0)
"""Polled when no partition is ready: `getmany()` must go on, and without names it means all."""

POLL_MS = 200
POLL_RECORDS_MAX = 5_000
FINISH_SECONDS = 10
BEHIND_SECONDS = 10.0
"""A partition with records not handled for so long is behind; else they have only just come."""

RETRY_SECONDS_MIN = 0.2
RETRY_SECONDS_MAX = 10.0
FENCED_SECONDS = 5.0
"""After a fence: longer than a heartbeat, so that a worker that was replaced learns it first."""


class Room(Protocol):
    """What a service does with a partition."""

    async def load(self, partition: int, marker: Marker | None) -> int:
        """Claim the partition and load its state; the offset of the next record.

        What is still held of a partition that had been taken away may be kept, if it stands.
        """

    async def handle(self, partition: int, records: Sequence[LogEntry]) -> None:
        """Handle records in order: state, results and offset in one transaction."""

    def clock(self, partition: int) -> tuple[int | None, str]:
        """Where a loaded partition's clock stands, and who holds it if all has been handled."""

    def drop(self, partition: int) -> None:
        """Forget the partition's state."""


class Loop(ConsumerRebalanceListener):  # type: ignore[misc]
    """Runs a room over the partitions that the consumer group gives to this process."""

    make_consumer: Callable[..., AIOKafkaConsumer] = staticmethod(AIOKafkaConsumer)
    read_markers = staticmethod(topics.read_markers)
    """Both are ways to the broker: a simulation sets its own."""

    def __init__(self, settings: Settings, topic: str, room: Room, running: Running) -> None:
        self.settings = settings
        self.topic = topic
        self.room = room
        self.running = running
        self.lanes: dict[TopicPartition, Lane] = {}
        self.kept: set[int] = set()
        """Partitions that were taken away, and may come back at the end of the rebalance."""
        self.faults: asyncio.Queue[BaseException] = asyncio.Queue()
        self.group = ""
        self.leaves = False  # what the group gives from now on is for others
        self.consumer: AIOKafkaConsumer
        self.watchdog: Watchdog

    async def run(self, group: str) -> None:
        """Consume until the process is to stop. Raises UserError where the log is not usable."""
        self.group = group
        self.running.readiness.wait("partitions", "waiting for the consumer group")
        self.consumer = self.make_consumer(
            **kafka.group_options(self.settings, group),
            auto_offset_reset="none",
        )
        await kafka.start(self.consumer, self.settings)
        self.watchdog = Watchdog(self.consumer, self.topic)
        try:
            await kafka.need_partitions(self.consumer, self.topic, self.settings)
            self.consumer.subscribe([self.topic], listener=self)
            await self.watchdog.beside(self._poll())
        finally:
            self.leaves = True
            await self.on_partitions_revoked(list(self.lanes))
            self._forget(but=())
            with suppress(TimeoutError):
                async with asyncio.timeout(FINISH_SECONDS):
                    await self.consumer.stop()

    async def _poll(self) -> None:
        while not self.running.stop.is_set():
            if not self.faults.empty():
                raise self.faults.get_nowait()
            ready = {place: lane for place, lane in self.lanes.items() if lane.ready}
            try:
                batch = await self.consumer.getmany(
                    *(ready or [NOWHERE]), timeout_ms=POLL_MS, max_records=POLL_RECORDS_MAX
                )
            except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
                raise UserError(
                    f"Topic {self.topic} no longer has the records that come next ({error}):"
                    " the log was cut or replaced. See `myaku log adopt`."
                ) from error
            except corrupt.UNREADABLE as error:
                await self._read_past(ready, error)
                continue
            for place, records in batch.items():
                if lane := self.lanes.get(place):
                    lane.put(records)
            self._measure()
            lanes = self.lanes.values()
            await self.watchdog.check(
                [lane.place for lane in lanes if lane.ready],
                [lane.failing_since for lane in lanes if lane.failing_since is not None],
            )

    async def _read_past(self, lanes: Mapping[TopicPartition, Lane], error: BaseException) -> None:
        """Take what stands before a batch that cannot be read, and go on behind it."""
        log.warning("answer cannot be read, comes again", why=str(error) or repr(error))
        offsets = {place: lane.next for place, lane in lanes.items() if lane.open}
        for place, offset in offsets.items():
            self.consumer.seek(place, offset)  # what was in hand of the others is gone
        try:
            found = await corrupt.read_past(self.consumer, offsets)
        except KafkaError as away:
            log.warning("answer cannot be read, nor asked for again", why=str(away))
            return
        for place, entries in found.items():
            lane = lanes[place]
            if lane.open and lane.next == offsets[place]:  # not taken away meanwhile
                lane.put(entries)
                self.consumer.seek(place, lane.next)

    def _measure(self) -> None:
        """How far each partition is behind; the broker tells its end with every answer."""
        now = asyncio.get_running_loop().time()
        for lane in self.lanes.values():
            highwater = self.consumer.highwater(lane.place) if lane.open else None
            if highwater is not None:
                behind = max(0, highwater - lane.handled)
                lane.even_at = lane.even_at if behind else now
                metrics.LAG.labels(partition=str(lane.place.partition)).set(behind)

    def clocks(self) -> list[Clock]:
        """Where the clock of each partition of this process stands, and who would hold it."""
        now, found = asyncio.get_running_loop().time(), []
        for lane in self.lanes.values():
            partition = lane.place.partition
            holder = f"{self.group} has not loaded partition {partition} of {self.topic}"
            if lane.open:
                lane.clock_ms, holder = self.room.clock(partition)
                if now - lane.even_at > BEHIND_SECONDS:
                    holder = f"{self.group} is behind in partition {partition} of {self.topic}"
            found.append(Clock(partition, lane.clock_ms, holder))
        return found

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Synchronous on purpose: no heartbeat is sent while it runs, and records flow already."""
        self.watchdog.assigned()
        self._forget(but=assigned)
        if not assigned or self.leaves:
            self.running.readiness.done("partitions")
            return
        self.consumer.pause(*assigned)
        for place in assigned:
            self.consumer.seek(place, 0)
            lane = self.lanes[place] = Lane(place)
            lane.task = asyncio.create_task(self._work(lane))
            lane.task.add_done_callback(self._ended)
            self.running.readiness.wait(f"partition {place.partition}", "loading")
        self.running.readiness.done("partitions")

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Let what is being handled end within a deadline; the fence decides if it counts."""
        self.watchdog.revoked()
        rehearsal.reach("revoke")
        lanes = [lane for place in revoked if (lane := self.lanes.pop(place, None))]
        for lane in lanes:
            lane.close()
        tasks = [lane.task for lane in lanes if lane.task]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=FINISH_SECONDS)
            for task in late:
                task.cancel()
        for lane in lanes:
            partition = lane.place.partition
            if lane.sound:
                self.kept.add(partition)
            else:
                self.room.drop(partition)
            self.running.readiness.done(f"partition {partition}")
            metrics.LAG.remove_by_labels({"partition": str(partition)})

    def _forget(self, but: Iterable[TopicPartition]) -> None:
        """Drop what was kept of partitions that others have now."""
        for partition in self.kept - {place.partition for place in but}:
            self.room.drop(partition)
        self.kept.clear()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()):
            self.faults.put_nowait(fault)

    async def _work(self, lane: Lane) -> None:
        """Load and handle, for as long as the partition is ours."""
        pause_seconds = RETRY_SECONDS_MIN
        while not lane.closed:
            try:
                await self._load(lane)
                while not lane.closed:
                    if records := await lane.take():
                        lane.sound = False
                        await self.room.handle(lane.place.partition, records)
                        lane.sound = True
                        lane.handled = records[-1].offset + 1
                        pause_seconds = RETRY_SECONDS_MIN
            except (Fenced, KafkaError, kafka.BrokerUnavailable, *LOST) as error:
                if lane.closed:
                    return
                self._give_up(lane, error)
                least = FENCED_SECONDS if isinstance(error, Fenced) else 0
                await lane.pause(max(least, pause_seconds))
                pause_seconds = min(pause_seconds * 2, RETRY_SECONDS_MAX)

    async def _load(self, lane: Lane) -> None:
        partition = lane.place.partition
        markers = await self.read_markers(self.settings, [lane.place])
        marker = markers[lane.place]
        count = len(self.consumer.partitions_for_topic(self.topic) or ())
        if marker and marker.partitions != count:
            raise other_count(self.topic, count, marker.partitions)
        offset = await self.room.load(partition, marker)
        if lane.closed:
            return
        if lane.cause == "failed":
            # What a commit came to whose answer was lost, the fence alone can tell.
            metrics.FAILED.labels(outcome="saved" if offset > lane.handled else "not saved").inc()
        self.consumer.seek(lane.place, offset)
        self.consumer.resume(lane.place)
        lane.start(offset)
        lane.even_at = asyncio.get_running_loop().time()
        self.running.readiness.done(f"partition {partition}")
        metrics.RELOADS.labels(cause=lane.cause).inc()
        log.info("partition loaded", topic=self.topic, partition=partition, next=offset)

    def _give_up(self, lane: Lane, error: BaseException) -> None:
        """What is in memory may be ahead of the database: it goes, and is loaded again."""
        partition = lane.place.partition
        if isinstance(error, Fenced):
            metrics.FENCED.inc()
        log.warning("partition dropped", topic=self.topic, partition=partition, why=str(error))
        if lane.open:
            lane.cause = "fenced" if isinstance(error, Fenced) else "failed"
        if not isinstance(error, KafkaError | kafka.BrokerUnavailable):
            lane.failing_since = None
        elif lane.failing_since is None:
            lane.failing_since = asyncio.get_running_loop().time()
        lane.shut()
        lane.sound = False
        self.consumer.pause(lane.place)
        self.running.readiness.wait(f"partition {partition}", str(error))
        self.room.drop(partition)
        metrics.LAG.remove_by_labels({"partition": str(partition)})
