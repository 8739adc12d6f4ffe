"""Record batches that nobody can read: passed over, with what is known of them.

A wrong checksum, an unknown codec, bytes that are no records: the client raises that again at
each poll and never moves on, and records of other partitions that it had in hand are gone.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    RecordTooLargeError,
    UnsupportedCodecError,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords
from cramjam import DecompressionError

from shared.kafka import FETCH_BYTES_MAX, FETCH_WAIT_MS
from shared.runtime import log

UNREADABLE = (
    CorruptRecordException,
    UnsupportedCodecError,
    RecordTooLargeError,
    DecompressionError,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    ArithmeticError,
    LookupError,
    MemoryError,
    SystemError,
)
"""What the client raises where bytes are no records, or a name in them is no text."""

_HEADER = struct.Struct(">qiibIhiqqqhii")
_LENGTH = struct.Struct(">qi")


@dataclass(frozen=True)
class CorruptBatch:
    """Stands among records for a batch, or for the rest of one, of which none can be read."""

    first: int
    offset: int
    """Of its last record: whoever has handled it goes on behind it."""
    why: str

    key: ClassVar[None] = None
    value: ClassVar[None] = None
    headers: ClassVar[tuple[()]] = ()

    @property
    def reason(self) -> str:
        """A sentence for people."""
        return f"The batch with offsets {self.first} to {self.offset} cannot be read: {self.why}."


LogEntry: TypeAlias = ConsumerRecord | CorruptBatch


def apart(
    entries: Sequence[LogEntry],
) -> tuple[Sequence[ConsumerRecord], list[CorruptBatch]]:
    """The records, and the batches that are none."""
    if CorruptBatch not in set(map(type, entries)):  # nearly always
        return entries, []
    corrupt = [entry for entry in entries if isinstance(entry, CorruptBatch)]
    return [entry for entry in entries if not isinstance(entry, CorruptBatch)], corrupt


async def fetch(
    consumer: AIOKafkaConsumer,
    offsets: Mapping[TopicPartition, int],
    *,
    timeout_ms: int,
    max_records: int,
) -> dict[TopicPartition, list[LogEntry]]:
    """The next records of places, which stand at these offsets; or those before a corrupt batch.

    The consumer stands behind what is returned. Raises KafkaError, and stands anywhere then.
    """
    try:
        found: dict[TopicPartition, list[LogEntry]] = await consumer.getmany(
            *offsets, timeout_ms=timeout_ms, max_records=max_records
        )
    except UNREADABLE as error:
        log.warning("answer cannot be read, comes again", why=str(error) or repr(error))
        for place, offset in offsets.items():
            consumer.seek(place, offset)  # what was in hand of other places is gone
        found = await read_past(consumer, offsets)
        for place, entries in found.items():
            consumer.seek(place, entries[-1].offset + 1)
    return found


async def read_past(
    consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]
) -> dict[TopicPartition, list[LogEntry]]:
    """What stands at the offsets up to the first corrupt batch, and that, where there is one.

    The caller sets the positions. What the broker tells twice in the same way is corrupt: on its
    way a good batch may be spoiled too. Raises KafkaError.
    """
    found: dict[TopicPartition, list[LogEntry]] = {}
    first = await _answers(consumer, offsets)
    second = await _answers(consumer, offsets)
    for place, offset in offsets.items():
        records, corrupt = unpack(place, first.get(place, b""), offset)
        if corrupt and unpack(place, second.get(place, b""), offset)[1] == corrupt:
            found[place] = [*records, corrupt]
            log.error(
                "batch cannot be read",
                topic=place.topic,
                partition=place.partition,
                first=corrupt.first,
                last=corrupt.offset,
                why=corrupt.why,
            )
    return found


async def _answers(
    consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]
) -> dict[TopicPartition, bytes]:
    """The bytes with which the brokers answer for each place."""
    client = consumer._client
    by_leader: dict[int, dict[str, list[tuple[int, int, int]]]] = {}
    for place, offset in offsets.items():
        leader = client.cluster.leader_for_partition(place)
        if leader is not None and leader != -1:
            topics = by_leader.setdefault(leader, {})
            wanted = (place.partition, offset, FETCH_BYTES_MAX)
            topics.setdefault(place.topic, []).append(wanted)
    found: dict[TopicPartition, bytes] = {}
    for leader, topics in by_leader.items():
        room = FETCH_BYTES_MAX * len(offsets)  # for every place: none may hide another for ever
        request = FetchRequest(FETCH_WAIT_MS, 1, room, READ_UNCOMMITTED, [*topics.items()])
        answer = await client.send(leader, request)
        for topic, parts in answer.topics:
            for partition, *_, records in parts:
                found[TopicPartition(topic, partition)] = bytes(records or b"")
    return found


def unpack(
    place: TopicPartition, answer: bytes, offset: int
) -> tuple[list[ConsumerRecord], CorruptBatch | None]:
    """The records from an offset on, up to the first batch that cannot be read, and that."""
    records: list[ConsumerRecord] = []
    start = 0
    while len(answer) - start >= _LENGTH.size:
        end = start + _LENGTH.size + _LENGTH.unpack_from(answer, start)[1]
        if end > len(answer) and start:
            break  # the answer ends in the middle of it: it comes whole with the next one
        reading = PartitionRecords(
            place,
            MemoryRecords(answer[start:end]),
            None,
            offset,
            None,
            None,
            True,
            READ_UNCOMMITTED,
        )
        try:
            if not start + _LENGTH.size < end <= len(answer):
                raise CorruptRecordException("its length is not that of its bytes")
            for record in reading:
                records.append(record)
        except UNREADABLE as error:
            first = reading.next_fetch_offset
            last = _next_after(answer[start:], first, end - start) - 1
            return records, CorruptBatch(first, last, _sentence(error))
        offset, start = reading.next_fetch_offset, end
    return records, None


def _sentence(error: BaseException) -> str:
    told = str(error.args[0]) if isinstance(error, KafkaError) and error.args else str(error)
    return told.partition(" - ")[0] or repr(error)


def _next_after(answer: bytes, first: int, length: int) -> int:
    """Where to go on behind a batch whose header may be wrong as well.

    Its last offset, its number of records and the batch behind it tell; the nearest is taken. If
    that is still inside the batch, the rest of it comes again, and nothing good is passed over.
    """
    told: list[int] = []
    if len(answer) >= _HEADER.size:
        base, _, _, _, _, _, last_delta, *_, count = _HEADER.unpack_from(answer)
        told += [base + last_delta + 1, base + count]
    if 0 < length <= len(answer) - _LENGTH.size:
        told.append(_LENGTH.unpack_from(answer, length)[0])
    return min((offset for offset in told if offset > first), default=first + 1)
