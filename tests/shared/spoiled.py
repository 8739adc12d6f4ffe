"""Batches spoiled where they lie: in the broker's file, or in each answer on its way."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from services.standalone.broker import find_tansu, until_answers
from services.standalone.keeper import Kept, Leash
from services.standalone.ports import free_port
from shared.events import USAGE_EVENTS
from tests import apache_kafka

CRC, COVERED, CODEC, LAST_DELTA, COUNT, RECORDS = 17, 21, 22, 23, 57, 61
"""Where things are in a batch; the checksum covers what stands behind it."""

Change = Callable[[bytearray], None]


def wrong_checksum(batch: bytearray) -> None:
    batch[-1] ^= 1


def unknown_codec(batch: bytearray) -> None:
    batch[CODEC] |= 7
    sign(batch)


def another_codec(batch: bytearray) -> None:
    batch[CODEC] |= 4
    sign(batch)


def header_name_is_no_text(batch: bytearray) -> None:
    at = batch.index(b"a-header")
    batch[at] = 0xFF
    sign(batch)


def last_offset_too_far(batch: bytearray) -> None:
    batch[LAST_DELTA : LAST_DELTA + 4] = struct.pack(">i", 1_000)


def sign(batch: bytearray) -> None:
    """Make the checksum right again."""
    batch[CRC:COVERED] = struct.pack(">I", calc_crc32c(bytes(batch[COVERED:])))


CHANGES: dict[bytes, Change] = {
    b"to be spoiled: %s" % change.__name__.encode(): change
    for change in (
        wrong_checksum,
        unknown_codec,
        another_codec,
        header_name_is_no_text,
        last_offset_too_far,
    )
}
"""By a value: what becomes of the batch that it is in."""


def spoil(data: bytes) -> bytes:
    """The same bytes, and in them each batch spoiled that has such a value in it."""
    spoiled = bytearray(data)
    for marker, change in CHANGES.items():
        at = data.find(marker)
        while at >= 0:
            start = _start_before(data, at)
            end = start + 12 + struct.unpack_from(">i", data, start + 8)[0]
            batch = spoiled[start:end]
            change(batch)
            spoiled[start:end] = batch
            at = data.find(marker, end)
    return bytes(spoiled)


def _start_before(data: bytes, at: int) -> int:
    """Where the batch begins whose records hold a position: its magic and checksum say it."""
    for magic in range(at, 15, -1):
        start = magic - 16
        end = start + 12 + struct.unpack_from(">i", data, start + 8)[0]
        if data[magic] == 2 and at < end <= len(data):
            checksum = struct.unpack_from(">I", data, start + CRC)[0]
            if checksum == calc_crc32c(data[start + COVERED : end]):
                return start
    raise AssertionError("no batch")


class Broker:
    """A broker, and how what it keeps is spoiled; `address` is for clients."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.spoils = False

    def spoil(self, topic: str) -> None:
        """From now on all marked batches come spoiled."""
        self.spoils = True
        if directory := apache_kafka.log_directory(self.address):
            for file in directory.glob(f"{topic}-*/*.log"):
                file.write_bytes(spoil(file.read_bytes()))


@asynccontextmanager
async def tansu(log: Path) -> AsyncIterator[Broker]:
    """Tansu behind a proxy that changes its answers."""
    behind = f"127.0.0.1:{free_port()}"
    broker = Broker("")
    pipes: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = behind.split(":")
        answers, requests = await asyncio.open_connection(host, int(port))
        pipes.add(asyncio.create_task(_requests(reader, requests)))
        pipes.add(asyncio.create_task(_answers(answers, writer, broker)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    broker.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    command = [find_tansu(), "broker", "--silent", "--storage-engine", "memory://tansu/"]
    command += ["--listener-url", f"tcp://{behind}"]
    command += ["--advertised-listener-url", f"tcp://{broker.address}"]
    process = await asyncio.to_thread(Kept, command, Leash(), log)
    try:
        await until_answers(behind, process)
        yield broker
    finally:
        server.close()
        await asyncio.to_thread(process.stop)
        await asyncio.gather(*pipes)


async def _requests(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
    except OSError:
        pass
    writer.close()


async def _answers(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, broker: Broker
) -> None:
    try:
        while True:
            head = await reader.readexactly(4)
            answer = await reader.readexactly(struct.unpack(">i", head)[0])
            writer.write(head + (spoil(answer) if broker.spoils else answer))
    except (OSError, asyncio.IncompleteReadError):
        writer.close()


async def send(
    address: str, *batches: list[bytes], topic: str = USAGE_EVENTS, partition: int = 0
) -> None:
    """Send batches as they are, without compression."""
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all", max_batch_size=1_000_000)
    await producer.start()
    try:
        for values in batches:
            batch = producer.create_batch()
            for value in values:
                headers = [("a-header", b"x")]
                assert batch.append(key=b"key", value=value, timestamp=None, headers=headers)
            batch.close()
            await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()
