"""The consumer loop: Kafka's partitions in, one transaction at a time out.

A room says how a partition is loaded and how its records are handled; the loop sees to it that
records come in order, from the offset that the database names, only while the partition is
loaded, and that whatever fails is thrown away and loaded again.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from aiokafka import (
    AIOKafkaConsumer,
    ConsumerRebalanceListener,
    ConsumerRecord,
    TopicPartition,
)
from aiokafka.coordinator.assignors.sticky.sticky_assignor import (
    StickyPartitionAssignor,
)
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from shared import kafka, metrics
from shared.database import LOST
from shared.events import Marker
from shared.offsets import Fenced
from shared.runtime import Running, UserError, log
from shared.settings import Settings

NOWHERE = TopicPartition("__none__", 0)
"""Polled when no partition is ready: `getmany()` must go on, and without names it means all."""

POLL_MS = 200
POLL_RECORDS_MAX = 5_000
QUEUE_RECORDS_MAX = 50_000
FINISH_SECONDS = 10
RETRY_SECONDS_MIN = 0.2
RETRY_SECONDS_MAX = 10.0
FENCED_SECONDS = 5.0
"""After a fence: longer than a heartbeat, so that a worker that was replaced learns it first."""


class Room(Protocol):
    """What a service does with a partition."""

    async def load(self, partition: int, marker: Marker | None) -> int:
        """Claim the partition and load its state; the offset of the next record."""

    async def handle(self, partition: int, records: Sequence[ConsumerRecord]) -> None:
        """Handle records in order: state, results and offset in one transaction."""

    def drop(self, partition: int) -> None:
        """Forget the partition's state."""


class Lane:
    """One assigned partition: its records on their way from the poll loop to the room."""

    def __init__(self, place: TopicPartition) -> None:
        self.place = place
        self.open = False
        self.closed = False
        self.records: deque[ConsumerRecord] = deque()
        self.filled = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether more records may be fetched for it."""
        return self.open and not self.closed and len(self.records) < QUEUE_RECORDS_MAX

    def put(self, records: Sequence[ConsumerRecord]) -> None:
        self.records.extend(records)
        self.filled.set()

    async def take(self) -> list[ConsumerRecord]:
        """All that arrived meanwhile; waits for the first. Empty when the lane was closed."""
        await self.filled.wait()
        self.filled.clear()
        taken = list(self.records)
        self.records.clear()
        return taken

    def shut(self) -> None:
        """Stop applying at once: what is queued will be read again by whoever comes next."""
        self.open = False
        self.records.clear()

    def close(self) -> None:
        self.shut()
        self.closed = True
        self.filled.set()


class Loop(ConsumerRebalanceListener):
    """Runs a room over the partitions that the consumer group gives to this process."""

    def __init__(self, settings: Settings, topic: str, room: Room, running: Running) -> None:
        self.settings = settings
        self.topic = topic
        self.room = room
        self.running = running
        self.lanes: dict[TopicPartition, Lane] = {}
        self.faults: asyncio.Queue[BaseException] = asyncio.Queue()
        self.consumer: AIOKafkaConsumer

    async def run(self, group: str) -> None:
        """Consume until the process is to stop. Raises UserError where the log is not usable."""
        self.running.readiness.wait("partitions", "waiting for the consumer group")
        self.consumer = AIOKafkaConsumer(
            **kafka.group_options(self.settings, group),
            auto_offset_reset="none",
            partition_assignment_strategy=(StickyPartitionAssignor,),
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=1024 * 1024,
            fetch_max_bytes=8 * 1024 * 1024,
            metadata_max_age_ms=60_000,
        )
        await kafka.start(self.consumer, self.settings)
        try:
            self.consumer.subscribe([self.topic], listener=self)
            await self._poll()
        finally:
            await self.on_partitions_revoked(list(self.lanes))
            await self.consumer.stop()

    async def _poll(self) -> None:
        turn = 0
        while not self.running.stop.is_set():
            if not self.faults.empty():
                raise self.faults.get_nowait()
            ready = [place for place, lane in self.lanes.items() if lane.ready]
            turn += 1
            ready = ready[turn % len(ready) :] + ready[: turn % len(ready)] if ready else [NOWHERE]
            try:
                batch = await self.consumer.getmany(
                    *ready, timeout_ms=POLL_MS, max_records=POLL_RECORDS_MAX
                )
            except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
                raise UserError(
                    f"Topic {self.topic} no longer has the records that come next ({error}):"
                    " the log was cut or replaced. See `myaku log adopt`."
                ) from error
            for place, records in batch.items():
                lane = self.lanes.get(place)
                if lane and lane.open:
                    lane.put(records)
                self._measure(place, records)

    def _measure(self, place: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        highwater = self.consumer.highwater(place)
        if highwater is not None and records:
            behind = highwater - records[-1].offset - 1
            metrics.LAG.labels(partition=str(place.partition)).set(behind)

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Synchronous on purpose: heartbeats stand still while it runs, and records flow already."""
        if not assigned:
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
        lanes = [lane for place in revoked if (lane := self.lanes.pop(place, None))]
        for lane in lanes:
            lane.close()
        tasks = [lane.task for lane in lanes if lane.task]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=FINISH_SECONDS)
            for task in late:
                task.cancel()
        for lane in lanes:
            self.room.drop(lane.place.partition)
            self.running.readiness.done(f"partition {lane.place.partition}")

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
                        await self.room.handle(lane.place.partition, records)
                        pause_seconds = RETRY_SECONDS_MIN
            except (Fenced, KafkaError, *LOST) as error:
                self._give_up(lane, error)
                least = FENCED_SECONDS if isinstance(error, Fenced) else 0
                if await self.running.pause(max(least, pause_seconds)):
                    return
                pause_seconds = min(pause_seconds * 2, RETRY_SECONDS_MAX)

    async def _load(self, lane: Lane) -> None:
        partition = lane.place.partition
        markers = await kafka.read_markers(self.settings, [lane.place])
        marker = markers[lane.place]
        count = len(self.consumer.partitions_for_topic(self.topic) or ())
        if marker and marker.partitions != count:
            raise UserError(
                f"Topic {self.topic} has {count} partitions, and was made with"
                f" {marker.partitions}: accounts would move. See `myaku log repartition`."
            )
        offset = await self.room.load(partition, marker)
        if lane.closed:
            return
        self.consumer.seek(lane.place, offset)
        self.consumer.resume(lane.place)
        lane.open = True
        self.running.readiness.done(f"partition {partition}")
        metrics.RELOADS.labels(cause="load").inc()
        log.info("partition loaded", topic=self.topic, partition=partition, next=offset)

    def _give_up(self, lane: Lane, error: BaseException) -> None:
        """What is in memory may be ahead of the database: it goes, and is loaded again."""
        partition = lane.place.partition
        if isinstance(error, Fenced):
            metrics.FENCED.inc()
        log.warning("partition dropped", topic=self.topic, partition=partition, why=str(error))
        lane.shut()
        if not lane.closed:
            self.consumer.pause(lane.place)
            self.running.readiness.wait(f"partition {partition}", str(error))
        self.room.drop(partition)
