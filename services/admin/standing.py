"""The log as the broker has it, beside what the database believes of it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import kafka, topics
from shared.database import snapshot
from shared.events import USAGE_EVENTS, Marker
from shared.log_identity import TOPICS
from shared.offsets import Schema
from shared.settings import Settings

ANSWER_SECONDS = 10


@dataclass(frozen=True)
class Kept:
    """What the database holds of a partition."""

    log_id: str
    next: int
    epoch: int
    owner: str
    partitions: int | None
    is_cut: bool
    clock: Mapping[str, Any]
    """Of scoring: when it is by the ticks that were handled."""


@dataclass(frozen=True)
class Standing:
    """A partition: its offsets in the log are those from `first` to before `end`."""

    schema: Schema
    place: TopicPartition
    partitions: int
    marker: Marker | None
    first: int
    end: int
    kept: Kept | None

    @property
    def is_cut(self) -> bool:
        """Whether the log has lost its first records."""
        return self.marker is not None and self.marker.id == topics.CUT

    @property
    def is_another(self) -> bool:
        """Whether it is not the log that the database was made from."""
        marker, kept = self.marker, self.kept
        return bool(marker and kept and not self.is_cut and marker.id != kept.log_id)

    def misfit(self) -> str | None:
        """What does not fit, in words; None where all does, or nothing was read yet."""
        where = f"partition {self.place.partition} of {self.place.topic}"
        if self.marker is None:
            return f"{where} has no log marker (`myaku config publish` makes it)"
        if self.marker.partitions != self.partitions:
            made = self.marker.partitions
            return f"{self.place.topic} has {self.partitions} partitions, and was made with {made}"
        if self.kept is None:
            return None
        return self._misfit_of(self.kept, where)

    def _misfit_of(self, kept: Kept, where: str) -> str | None:
        if kept.partitions not in (None, 0, self.partitions):
            made = kept.partitions
            return f"the log has {self.partitions} partitions, the database was made from {made}"
        if self.is_another and self.marker:
            return f"{where} is of log {self.marker.id}, the database was made from {kept.log_id}"
        if self.is_cut and not kept.is_cut:
            return f"{where} has lost its first records, and the marker with them"
        if kept.next < self.first:
            return f"{where} begins at offset {self.first}, and {kept.next} comes next"
        if kept.next > self.end:
            return f"{where} ends at offset {self.end}, and {kept.next} comes next"
        return None


@dataclass(frozen=True)
class Source:
    """A partition of `usage.events`, and where the consumer group of ingest stands in it."""

    partition: int
    first: int
    end: int
    committed: int | None


async def standings(settings: Settings, engine: AsyncEngine) -> list[Standing]:
    """All partitions that scoring and alerts read. Raises UserError."""
    found = []
    for schema, topic in TOPICS.items():
        markers = await topics.read_topic(settings, topic)
        ends = await _ends(settings, list(markers))
        kept = await _kept(engine, schema)
        for place, marker in markers.items():
            offsets = ends[place]
            row = kept.get(place.partition)
            found.append(Standing(schema, place, len(markers), marker, *offsets, row))
    return found


async def sources(settings: Settings) -> list[Source]:
    """The partitions that ingest reads."""
    consumer = AIOKafkaConsumer(**kafka.group_options(settings, f"{settings.group}-ingest"))
    await kafka.start(consumer, settings)
    try:
        count = await kafka.partitions_of(consumer, USAGE_EVENTS)
        places = [TopicPartition(USAGE_EVENTS, number) for number in range(count)]
        consumer.assign(places)  # joins no group, and so disturbs nobody
        committed = {place: await consumer.committed(place) for place in places}
    finally:
        await consumer.stop()
    ends = await _ends(settings, places)
    return [Source(place.partition, *ends[place], committed[place]) for place in places]


async def _kept(engine: AsyncEngine, schema: Schema) -> dict[int, Kept]:
    clock = "clock -> 'clock'" if schema == "scoring" else "NULL::jsonb"
    async with snapshot(engine) as connection:
        rows = await connection.execute(
            text(
                "SELECT partition, log_id, next, epoch, owner, partitions, is_cut,"
                f" {clock} AS clock FROM {schema}.partition"
            )
        )
        return {
            row.partition: Kept(
                log_id=row.log_id,
                next=row.next,
                epoch=row.epoch,
                owner=row.owner,
                partitions=row.partitions,
                is_cut=row.is_cut,
                clock=row.clock or {},
            )
            for row in rows
        }


async def _ends(
    settings: Settings, places: Sequence[TopicPartition]
) -> dict[TopicPartition, tuple[int, int]]:
    """The offsets of each partition's first record, and behind its last one.

    The end is the one that a fetch tells: asked for by itself, the embedded broker's is wrong.
    """
    consumer = kafka.reader(settings)
    await kafka.start(consumer, settings)
    try:
        consumer.assign(places)
        firsts = await consumer.beginning_offsets(places)
        for place in places:
            consumer.seek(place, firsts[place])
        async with asyncio.timeout(ANSWER_SECONDS):
            return {place: (firsts[place], await _end(consumer, place)) for place in places}
    except TimeoutError as error:
        raise kafka.BrokerUnavailable(
            f"The broker at {settings.kafka} gives no records."
        ) from error
    finally:
        await consumer.stop()


async def _end(consumer: AIOKafkaConsumer, place: TopicPartition) -> int:
    while (end := consumer.highwater(place)) is None:
        await consumer.getmany(place, timeout_ms=50, max_records=1)
    return int(end)
