"""`myaku log adopt`: the log that the broker has is from now on the deployment's.

The state stays. Reading begins where nothing can be left out, and what had been counted dies
there as a duplicate: in another log at its first record, in the same one behind the last tick that
the state has handled, whatever offsets its records have now.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.admin.standing import Kept, Standing
from shared import kafka
from shared.database import transaction
from shared.events import TICK, Tick, decode_control
from shared.runtime import UserError
from shared.settings import Settings
from shared.times import time_ms

OWNER = "myaku log adopt"
PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Start:
    """Where a partition's reading goes on, and what is lost."""

    standing: Standing
    offset: int
    loss: str
    """In words; empty where nothing is."""


async def starts(settings: Settings, found: Sequence[Standing]) -> list[Start]:
    """Where each partition would go on that was read before. Raises UserError."""
    for one in found:
        if one.marker is None or (one.marker.partitions != one.partitions):
            raise UserError(f"{_begin(one.misfit() or '')}: that cannot be adopted.")
        if one.kept and one.kept.partitions not in (None, 0, one.partitions):
            raise UserError(f"{_begin(one.misfit() or '')}. docs/operations.md says what to do.")
    return [await _start(settings, one, one.kept) for one in found if one.kept]


async def _start(settings: Settings, one: Standing, kept: Kept) -> Start:
    if one.schema == "alerts":  # which drops what it has: scoring sends every newest record again
        return Start(one, one.first, "")
    if one.is_another:
        return Start(
            one,
            one.first,
            f"what log {kept.log_id} held from offset {kept.next} on, if anything: nobody can know",
        )
    offset = await _behind_handled(settings, one, kept)
    if offset == one.first and kept.next < one.first:
        lost = one.first - kept.next
        return Start(one, offset, f"{lost} records, from offset {kept.next} to {one.first - 1}")
    if kept.next > one.end:
        return Start(one, offset, "what came last and is not in this log: nobody can know")
    return Start(one, offset, "")


async def _behind_handled(settings: Settings, one: Standing, kept: Kept) -> int:
    """Behind the last tick before which no tick is news; the first record where that is none."""
    consumer = kafka.reader(settings)
    await kafka.start(consumer, settings)
    try:
        consumer.assign([one.place])
        consumer.seek(one.place, one.first)
        return await _read_handled(consumer, one, kept)
    except TimeoutError as error:
        raise kafka.BrokerUnavailable(
            f"The broker at {settings.kafka} gives no records."
        ) from error
    finally:
        await consumer.stop()


async def _read_handled(consumer: AIOKafkaConsumer, one: Standing, kept: Kept) -> int:
    behind = one.first
    while (position := await consumer.position(one.place)) < one.end:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await consumer.position(one.place) == position:
                batch = await consumer.getmany(one.place, timeout_ms=200, max_records=10_000)
                for record in batch.get(one.place, []):
                    if record.key == TICK.encode() and record.value:
                        if not _is_handled(record.value, kept):
                            return behind
                        behind = record.offset + 1
    return behind


def _is_handled(value: bytes, kept: Kept) -> bool:
    tick = decode_control(value)
    assert isinstance(tick, Tick)
    newest_ms: int | None = kept.clock.get("now_ms")
    if tick.mode == "live":
        newest_ms = kept.clock.get("live_ticks_ms", {}).get(str(tick.source_partition))
    return newest_ms is not None and time_ms(tick.time) <= newest_ms


async def adopt(engine: AsyncEngine, chosen: Sequence[Start]) -> None:
    """Let all partitions go on there, in one transaction, which fences whoever owns them.

    Scoring sends every account's newest record again, for a log that may lack it. Raises UserError
    where a partition has moved meanwhile.
    """
    async with transaction(engine) as connection:
        for start in chosen:
            one, kept = start.standing, start.standing.kept
            assert kept
            assert one.marker
            moved = await connection.execute(
                text(
                    f"UPDATE {one.schema}.partition SET log_id = :log_id, next = :offset,"
                    " is_cut = :is_cut, epoch = epoch + 1, owner = :owner"
                    " WHERE partition = :partition AND epoch = :epoch AND next = :next"
                ),
                {
                    "log_id": kept.log_id if one.is_cut else one.marker.id,
                    "offset": start.offset,
                    "is_cut": one.is_cut,
                    "owner": OWNER,
                    "partition": one.place.partition,
                    "epoch": kept.epoch,
                    "next": kept.next,
                },
            )
            if moved.rowcount != 1:
                raise UserError(
                    f"Partition {one.place.partition} of {one.place.topic} has moved meanwhile:"
                    " stop the services, and run this again. Nothing was changed."
                )
        # Nobody knows any more that the log has everything since the deployment's beginning.
        await connection.execute(
            text("UPDATE scoring.partition SET relayed_log_id = '', first_log_id = ''")
        )


def _begin(words: str) -> str:
    return words[:1].upper() + words[1:]
