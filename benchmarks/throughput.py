"""How fast ingest and scoring are, durable, against the floor of merely reading and decoding.

    python -m benchmarks.throughput [--kafka HOST:PORT] [--events 300000] [--rounds 3]

Each round, on fresh topics and a fresh database: the floor reads the very records that scoring
reads (aiokafka and msgspec, nothing else); then one ingest process, then one scoring process, take
all events from broker to Postgres. Only ratios within one run mean anything. Without --kafka it
runs on the embedded broker. Ends with 1 where a ratio's median is below its stated floor.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import make_url

from services.scoring.engine.event import Event
from services.standalone import broker, postgres
from services.standalone.keeper import Leash
from shared import database, kafka, topics
from shared.configuration.files import SHIPPED, read_document
from shared.events import TICK, USAGE_ACCEPTED, USAGE_EVENTS, Tick, encode
from shared.runtime import now_ms
from shared.settings import Settings
from shared.times import iso_time
from tests.conftest import SECRET_KEY, remove_topics

PARTITIONS = 4
ACCOUNTS = 5_000
USERS_PER_ACCOUNT = 10
FLOORS = {"ingest": 0.06, "scoring": 0.20}
"""The least ratio to reading and decoding that we accept of each, one process each."""

Records = dict[int, list[kafka.Record]]


@dataclass
class Round:
    """Events per second, and of the processes CPU µs per event and peak resident MiB."""

    floor: float
    speeds: dict[str, float]
    cpu_us: dict[str, float]
    peak_mib: dict[str, float]


def events(count: int, at_ms: int) -> Iterator[dict[str, Any]]:
    """Native events of about 200 bytes from the 10 hours before `at_ms`, ascending in time."""
    chance = random.Random(1)
    for number in range(count):
        account = int(chance.paretovariate(0.7)) % ACCOUNTS
        yield {
            "id": f"01JD8Q0V6S{number:012}",
            "type": chance.choice(("page.viewed", "feature.used", "report.exported")),
            "account_id": f"account-{account:05}",
            "user_id": f"user-{account:05}-{chance.randrange(USERS_PER_ACCOUNT)}",
            "time": iso_time(at_ms - 36_000_000 + number * 36_000_000 // count),
            "source": "benchmark",
            "properties": {"feature": f"feature-{chance.randrange(40)}", "count": number % 7},
        }


def as_sent(found: list[dict[str, Any]]) -> Records:
    """What product backends would send, on any partition."""
    sent: Records = {partition: [] for partition in range(PARTITIONS)}
    for number, event in enumerate(found):
        value = json.dumps(event).encode()
        sent[number % PARTITIONS].append((event["account_id"].encode(), value, []))
    return sent


def as_accepted(found: list[dict[str, Any]], at_ms: int) -> Records:
    """What ingest makes of it, with a live tick of every source partition before and after."""
    accepted: Records = {partition: [] for partition in range(PARTITIONS)}
    for event in found:
        value = encode(event | {"received_at": iso_time(at_ms)})
        home = kafka.partition_of(event["account_id"], PARTITIONS)
        accepted[home].append((event["account_id"].encode(), value, []))
    for records in accepted.values():
        records[:0] = list(_ticks(at_ms - 1000))
        records.extend(_ticks(at_ms))
    return accepted


def _ticks(at_ms: int) -> Iterator[kafka.Record]:
    for source_partition in range(PARTITIONS):
        tick = Tick(source_partition, PARTITIONS, iso_time(at_ms), "live")
        yield TICK.encode(), encode(tick), []


async def send(settings: Settings, topic: str, records: Records) -> None:
    """Send all records, partition by partition in order."""
    producer = kafka.producer(settings)
    await kafka.start(producer, settings)
    try:
        await asyncio.gather(
            *(
                kafka.send_in_order(producer, topic, partition, part)
                for partition, part in records.items()
            )
        )
    finally:
        await producer.stop()


class Whole(Event):
    """An event with its properties, still encoded."""

    properties: msgspec.Raw = msgspec.Raw(b"{}")


async def floor(settings: Settings, records: Records) -> float:
    """Events per second of reading and decoding `usage.accepted`, and nothing else."""
    consumer: AIOKafkaConsumer = kafka.reader(settings)
    await kafka.start(consumer, settings)
    places = [TopicPartition(USAGE_ACCEPTED, partition) for partition in records]
    consumer.assign(places)
    for place in places:
        consumer.seek(place, 0)
    decode = msgspec.json.Decoder(Whole).decode
    wanted = left = sum(map(len, records.values()))
    began = time.perf_counter()
    while left > 0:
        for batch in (await consumer.getmany(timeout_ms=200, max_records=5_000)).values():
            for record in batch:
                if not record.key.startswith(b"myaku."):
                    decode(record.value)
            left -= len(batch)
    spent = time.perf_counter() - began
    await consumer.stop()
    return wanted / spent


async def timed(
    name: str, settings: Settings, environment: dict[str, str], done: Callable[[], Any]
) -> tuple[float, float, float]:
    """Run a service until `done()`: seconds, CPU seconds, peak MiB. Its start is not counted."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"services.{name}",
        env=os.environ | environment,
        stderr=subprocess.DEVNULL,
    )
    while not await done() > 0:
        await asyncio.sleep(0.005)
    began = time.perf_counter()
    first = await done()
    while (now := await done()) < 1:
        await asyncio.sleep(0.02)
    spent = (time.perf_counter() - began) / (now - first)
    peak_mib = peak_resident_mib(process.pid)
    process.terminate()
    await process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, cpu, peak_mib


def peak_resident_mib(pid: int) -> float:
    """The most memory that a process had (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@asynccontextmanager
async def parts(kafka_address: str | None) -> AsyncIterator[tuple[str, str]]:
    """A broker without our topics, and a fresh, migrated database: its address, and its URL."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="myaku-bench-")))
        server = await stack.enter_async_context(
            postgres.running(Leash(), directory / "data", directory / "postgres.log")
        )
        if kafka_address is None:
            running = await stack.enter_async_context(
                broker.running(Leash(), directory / "broker.log")
            )
            address = running.address
        else:
            address = kafka_address
            await remove_topics(address)
        await database.migrate(server.url)
        yield address, server.url


async def one_round(kafka_address: str | None, count: int) -> Round:
    """The floor, ingest and scoring, on the same events."""
    at_ms = now_ms()
    found = list(events(count, at_ms))
    result = Round(0.0, {}, {}, {})
    for name, topic, records in (
        ("scoring", USAGE_ACCEPTED, as_accepted(found, at_ms)),
        ("ingest", USAGE_EVENTS, as_sent(found)),
    ):
        async with parts(kafka_address) as (address, url):
            environment = {
                "MYAKU_KAFKA": address,
                "MYAKU_DATABASE_URL": url,
                "MYAKU_SECRET_KEY": SECRET_KEY,
                "MYAKU_GROUP": f"bench-{secrets.token_hex(4)}",
                **{f"MYAKU_{name.upper()}_{what}PORT": "0" for what in ("", "OPERATIONS_")},
            }
            settings = Settings(
                kafka=address,
                database_url=url,  # type: ignore[arg-type]
                secret_key=SECRET_KEY,  # type: ignore[arg-type]
            )
            await topics.create_log(
                settings,
                partitions=PARTITIONS,
                log_id=secrets.token_hex(8),
                source_partitions=PARTITIONS,
            )
            await topics.publish_configuration(settings, read_document(SHIPPED))
            await send(settings, topic, records)
            if name == "scoring":
                result.floor = await floor(settings, records)
            done = scored(url, records) if name == "scoring" else accepted(settings, count)
            seconds, cpu_seconds, peak_mib = await timed(name, settings, environment, done)
            result.speeds[name] = count / seconds
            result.cpu_us[name] = cpu_seconds * 1e6 / count
            result.peak_mib[name] = peak_mib
    return result


def scored(url: str, records: Records) -> Callable[[], Any]:
    """Which part of `usage.accepted` is committed in Postgres, 0 to 1."""
    wanted = sum(map(len, records.values()))

    async def done() -> float:
        connection = await asyncpg.connect(make_url(url).render_as_string(hide_password=False))
        try:
            reached = await connection.fetchval(
                "SELECT sum(greatest(0, next - 2)) FROM scoring.partition"
            )
        finally:
            await connection.close()
        return float(reached or 0) / wanted

    return done


def accepted(settings: Settings, count: int) -> Callable[[], Any]:
    """Which part of the events stands in `usage.accepted`, 0 to 1."""
    consumer: list[AIOKafkaConsumer] = []

    async def done() -> float:
        if not consumer:
            consumer.append(kafka.reader(settings))
            await kafka.start(consumer[0], settings)
            consumer[0].assign([TopicPartition(USAGE_ACCEPTED, at) for at in range(PARTITIONS)])
            for place in consumer[0].assignment():
                consumer[0].seek(place, 0)
        await consumer[0].getmany(timeout_ms=0, max_records=100_000)
        reached = [consumer[0].highwater(place) or 0 for place in consumer[0].assignment()]
        return min(1.0, max(0, sum(reached) - 2 * PARTITIONS) / count)

    return done


def report(rounds: list[Round], count: int) -> bool:
    """Print the medians; whether every ratio is at its floor or above."""
    base = statistics.median(each.floor for each in rounds)
    print(f"{count:,} events, {len(rounds)} rounds; read and decoded: {base:,.0f} events/s")
    print("| service | events/s | ratio, median (least–most) | floor | CPU µs/event | peak MiB |")
    print("| --- | --- | --- | --- | --- | --- |")
    fine = True
    for name, least in FLOORS.items():
        ratios = sorted(each.speeds[name] / each.floor for each in rounds)
        ratio = statistics.median(ratios)
        fine &= ratio >= least
        speed = statistics.median(each.speeds[name] for each in rounds)
        cpu_us = statistics.median(each.cpu_us[name] for each in rounds)
        peak = max(each.peak_mib[name] for each in rounds)
        print(
            f"| {name} | {speed:,.0f} | {ratio:.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f}) | {least} |"
            f" {cpu_us:.1f} | {peak:.0f} |"
        )
    return fine


def main() -> int:
    """Run the rounds; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kafka", help="HOST:PORT; our topics there are removed first")
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    rounds = [asyncio.run(one_round(chosen.kafka, chosen.events)) for _ in range(chosen.rounds)]
    return 0 if report(rounds, chosen.events) else 1


if __name__ == "__main__":
    sys.exit(main())
