"""Batches that nobody can read: told of, passed over, and nothing good with them."""

import asyncio
import itertools
import random
import struct
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio
from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database, topics
from shared.corrupt import CorruptBatch, LogEntry, unpack
from shared.events import USAGE_ACCEPTED, Marker
from shared.settings import Settings
from tests.conftest import settings_for
from tests.processes import eventually
from tests.shared import spoiled
from tests.shared.rooms import Ledger, looping

SPOILED = len(spoiled.CHANGES)
PARTITIONS = 3 * SPOILED
"""Most are whole: one that is in hand when another cannot be read must lose nothing."""

PLACE = TopicPartition(USAGE_ACCEPTED, 0)


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = database.create(database_url)
    yield made
    await made.dispose()


@pytest_asyncio.fixture
async def settings(spoiling_broker: spoiled.Broker, database_url: str) -> Settings:
    made = settings_for(spoiling_broker.address, database_url)
    await topics.create_log(made, partitions=PARTITIONS, log_id="log-1", source_partitions=1)
    return made


async def send(broker: spoiled.Broker, *batches: list[bytes], partition: int) -> None:
    """Send batches."""
    await spoiled.send(broker.address, *batches, topic=USAGE_ACCEPTED, partition=partition)


class Timed(Ledger):
    """Remembers also what came, and when."""

    def __init__(self, database: AsyncEngine) -> None:
        super().__init__(database)
        self.waiting = 0
        self.entries: dict[int, list[LogEntry]] = {number: [] for number in range(PARTITIONS)}
        self.times: dict[int, list[float]] = {number: [] for number in range(PARTITIONS)}

    async def load(self, partition: int, marker: Marker | None) -> int:
        self.waiting += 1
        return await super().load(partition, marker)

    async def handle(self, partition: int, records: Sequence[LogEntry]) -> None:
        await super().handle(partition, records)
        self.entries[partition] += records
        self.times[partition].append(asyncio.get_running_loop().time())


async def test_a_batch_that_cannot_be_read_is_passed_over_within_a_second(
    spoiling_broker: spoiled.Broker, settings: Settings, engine: AsyncEngine
) -> None:
    markers = list(spoiled.CHANGES)
    for partition in range(PARTITIONS):
        middle = markers[partition] if partition < SPOILED else b"x"
        batches = [[b"x"] * 5, [b"x", b"x", middle, b"x"], [b"x"] * 5]
        await send(spoiling_broker, *batches, partition=partition)
    spoiling_broker.spoil(USAGE_ACCEPTED)
    room = Timed(engine)
    room.gate.clear()
    async with looping(settings, room):
        await eventually(lambda: room.waiting == PARTITIONS)
        room.gate.set()
        await eventually(lambda: [held.next for held in room.claims.values()] == [15] * PARTITIONS)
        for number in range(PARTITIONS):
            await send(spoiling_broker, [b"later"], partition=number)
        await eventually(lambda: [held.next for held in room.claims.values()] == [16] * PARTITIONS)
    for number, entries in room.entries.items():
        corrupt = [each for each in entries if isinstance(each, CorruptBatch)]
        expected = [(6, 9)] if number < SPOILED else []
        assert [(each.first, each.offset) for each in corrupt] == expected
        offsets = [*range(6), *range(9, 16)] if number < SPOILED else [*range(16)]
        assert room.committed[number] == offsets
        assert room.times[number][-2] - min(room.times[number]) < 1


def batch(base: int, count: int) -> bytes:
    """A batch as a broker keeps it."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000_000)
    for number in range(count):
        builder.append(number, 1_000 + number, b"key", b"value %d" % number, [("a-header", b"x")])
    return struct.pack(">q", base) + bytes(builder.build())[8:]


def read_all(log: Sequence[bytes], starts: Sequence[int]) -> tuple[list[int], list[CorruptBatch]]:
    """The offsets of the records, and what cannot be read, as a consumer that goes on reads it.

    A broker answers from the batch on that an offset is in.
    """
    offset, good, bad = 0, [], []
    while offset < starts[-1]:
        number = max(at for at, start in enumerate(starts) if start <= offset)
        records, corrupt = unpack(PLACE, b"".join(log[number:]), offset)
        good += [record.offset for record in records]
        bad += [corrupt] if corrupt else []
        after = corrupt.offset + 1 if corrupt else records[-1].offset + 1
        assert after > offset
        offset = after
    return good, bad


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_spoiled_in_a_batch_its_neighbours_are_read_whole(seed: int) -> None:
    draw = random.Random(seed)
    starts = [0, 7, 19, 24]
    log = [batch(base, end - base) for base, end in itertools.pairwise(starts)]
    for _ in range(100):
        changed = bytearray(log[1])
        for _ in range(draw.choice((1, 1, 2, 20))):
            changed[draw.randrange(spoiled.CRC, len(changed))] = draw.randrange(256)
        good, bad = read_all([log[0], bytes(changed), log[2]], starts)
        assert good[:7] == [*range(7)]
        assert good[-5:] == [*range(19, 24)]
        assert all(7 <= each.first <= each.offset < 19 for each in bad)


def test_a_length_that_cannot_be_true_is_told_and_passed_over() -> None:
    for length in (-1, 0, 3, 2**30):
        changed = bytearray(batch(0, 5))
        changed[8:12] = struct.pack(">i", length)
        _, corrupt = unpack(PLACE, bytes(changed), 0)
        assert corrupt
        assert (corrupt.first, corrupt.offset) == (0, 4)


def test_an_answer_that_ends_in_the_middle_of_a_batch_is_no_fault() -> None:
    whole = batch(0, 5) + batch(5, 5)
    records, corrupt = unpack(PLACE, whole[:-1], 0)
    assert [record.offset for record in records] == [*range(5)]
    assert corrupt is None
