"""One partition's kept log through the engine, with the signals alone that wait for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from services.scoring.backfill.seen_files import SeenFiles
from services.scoring.backfill.waiting import WaitingPartition, WaitingSignal
from services.scoring.engine import RawRecord, State, advance, decode
from services.scoring.engine.backfill.piece import Piece
from services.scoring.engine.backfill.telling import pieces, reading_plan, reading_state
from services.scoring.engine.columns import LogRecord
from services.scoring.engine.dedupe import evict, wanted
from services.scoring.engine.state import ALWAYS_KNOWN
from services.scoring.engine.users.days import forget_users
from services.scoring.engine.windows import forget_things
from shared import corrupt, kafka, topics
from shared.configuration import HORIZON_DAYS
from shared.corrupt import LogEntry
from shared.events import BACKFILLED, BARRIER, CONFIG, TICK, USAGE_ACCEPTED, Tick, encode
from shared.runtime import UserError
from shared.settings import Settings
from shared.times import iso_time

RECORDS_MAX = 10_000
PATIENCE_SECONDS = 30
OTHERS = frozenset(name.encode() for name in (CONFIG, BARRIER, BACKFILLED))
"""Records that say nothing of signals: the plan stays the one that it is read for."""


async def read_log(
    settings: Settings, waiting: WaitingPartition, directory: Path
) -> AsyncIterator[Piece]:
    """Read the log up to each record at which signals took effect, and tell what it says of them.

    Raises UserError where the log is another or cannot be read.
    """
    place = TopicPartition(USAGE_ACCEPTED, waiting.partition)
    marker = (await topics.read_markers(settings, [place]))[place]
    adopted = topics.CUT if not waiting.is_first_log else waiting.log_id
    if marker is None or marker.id not in (waiting.log_id, adopted):
        raise UserError(f"The log at {settings.kafka} is not the one that scoring reads.")
    reading = Reading(waiting, SeenFiles(directory), _home_of(waiting.partitions))
    consumer = kafka.reader(settings)
    await kafka.start(consumer, settings)
    try:
        consumer.assign([place])
        consumer.seek(place, (await consumer.beginning_offsets([place]))[place])
        for until_offset, signals in groupby(waiting.signals, lambda each: each.until_offset):
            async for entries in records_until(consumer, place, until_offset):
                records, _ = corrupt.apart(entries)
                await asyncio.to_thread(reading.take, records)
            for signal in signals:
                for piece in reading.told(signal):
                    yield piece
    except OffsetOutOfRangeError as error:
        raise UserError(f"The log at {settings.kafka} has lost its first records.") from error
    except KafkaError as error:
        raise kafka.BrokerUnavailable(
            f"The broker at {settings.kafka} gives no records: {error}."
        ) from error
    finally:
        await consumer.stop()


async def records_until(
    consumer: AIOKafkaConsumer, place: TopicPartition, until_offset: int
) -> AsyncIterator[list[LogEntry]]:
    """The records from where the consumer stands to before an offset, where it stands then."""
    while await consumer.position(place) < until_offset:
        entries = await _next_entries(consumer, place)
        yield [entry for entry in entries if entry.offset < until_offset]
    consumer.seek(place, until_offset)


async def _next_entries(consumer: AIOKafkaConsumer, place: TopicPartition) -> list[LogEntry]:
    """None where there were none for anybody on the way."""
    position = await consumer.position(place)
    found: dict[TopicPartition, list[LogEntry]] = {}
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not found.get(place) and await consumer.position(place) == position:
                found = await corrupt.fetch(
                    consumer, {place: position}, timeout_ms=200, max_records=RECORDS_MAX
                )
    except TimeoutError as error:
        raise kafka.BrokerUnavailable(
            f"The broker gives no records of {place.topic}, partition {place.partition}."
        ) from error
    return found.get(place, [])


def _home_of(partitions: int) -> Callable[[str], int]:
    return lambda account_id: kafka.partition_of(account_id, partitions)


class Reading:
    """The state that reads the log of a partition."""

    def __init__(
        self, waiting: WaitingPartition, files: SeenFiles, home_of: Callable[[str], int]
    ) -> None:
        self.waiting = waiting
        self.files = files
        self.home_of = home_of
        definitions = [signal.definition for signal in waiting.signals]
        plan = reading_plan(waiting.plan, definitions)
        self.state: State = reading_state(waiting.partition, waiting.hash_seed, plan)
        self.first_day: int | None = None
        """The running day when the log's first ticks made the clock go."""
        self.has_begun = False

    def take(self, records: Sequence[ConsumerRecord]) -> None:
        """Take in the next records."""
        if records and not self.has_begun:
            self.has_begun = True
            self._remember_erasures(records[0].timestamp)
        for part in self._parts(records):
            self._advance(part)

    def _remember_erasures(self, before_ms: int) -> None:
        """Who was erased before a log that is not the first tells nothing of it."""
        if not self.waiting.is_first_log:
            for person, times in self.waiting.erased.items():
                if earlier := [time_ms for time_ms in times if time_ms < before_ms]:
                    self.state.erased[person] = earlier

    def _parts(self, records: Sequence[ConsumerRecord]) -> Iterator[list[LogRecord]]:
        """The records in parts; one ends with each tick until the clock goes."""
        part: list[LogRecord] = []
        for record in records:
            if record.key in OTHERS:
                continue
            part.append(record)
            if self.state.clock.now_ms is None and record.key == TICK.encode():
                yield part
                part = []
        if part:
            yield part

    def _advance(self, records: Sequence[LogRecord]) -> None:
        state = self.state
        batch = decode(records, state)
        self.files.load(state, wanted(state, batch.events))
        effects = advance(state, batch, self.home_of)
        self.files.keep(effects.seen)
        evict(state)
        if effects.closed:
            self.files.forget(state.day - HORIZON_DAYS)
            forget_things(state)
            forget_users(state)
        if self.first_day is None and state.clock.now_ms is not None:
            self.first_day = state.day

    def told(self, signal: WaitingSignal) -> Iterator[Piece]:
        """What the log says of a signal before the record at which it took effect."""
        self._catch_up(signal.since_day)
        plan = self.state.plan
        assert plan is not None
        number = [each.definition for each in plan.signals].index(signal.definition)
        first_day = signal.since_day if self.first_day is None else self.first_day
        whole = self.waiting.is_first_log
        since_day = ALWAYS_KNOWN if whole else min(first_day, signal.since_day)
        return pieces(self.state, number, signal.signal_no, since_day)

    def _catch_up(self, running_day: int) -> None:
        """The partition's clock may be ahead of what a log that is not the first tells of it."""
        clock, plan = self.state.clock, self.state.plan
        assert plan is not None
        if clock.now_ms is None or clock.running_day < running_day:
            live, clock.live = clock.live, False
            tick = Tick(0, 1, iso_time(plan.calendar.begins_ms(running_day)), "history")
            self._advance([RawRecord(-1, TICK.encode(), encode(tick))])
            clock.live = live
