"""A day of live traffic squeezed into an hour: memory, descriptors and lag, and the ledger.

    python -m benchmarks.soak [--minutes 60] [--rate 200] [--apache-kafka]

Starts `myaku up` on a driven clock that runs 24 hours in the given minutes, and sends RATE events
for each second of it, half over HTTP and half through Kafka; some twice, some bad. Prints a line
every half minute, and at the end whether each account's count is what was sent (Linux only).
"""

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from aiokafka import AIOKafkaProducer, TopicPartition
from rich.console import Console
from rich.table import Table

from benchmarks.history import descendants
from services.standalone import probes
from services.standalone.keeper import Leash
from shared import kafka, runtime
from shared.data_dir import DataDir, UpFile
from shared.events import USAGE_EVENTS, USAGE_REJECTED
from shared.settings import Settings
from shared.times import iso_time
from tests import apache_kafka
from tests.driven_clock import DrivenClock
from tests.end_to_end.installation import Installation, up

DAY_SECONDS = 86_400
ACCOUNTS = 2_000
PARTITIONS = 4
STEP_SECONDS = 0.05
STEP_EVENTS_MAX = 4_000
"""After a pause of the machine, what is due comes a little at a time."""

SAMPLE_SECONDS = 30
TWICE_OF_100 = 2
BAD_OF_1000 = 5
LAST_SECONDS = 180
MIB = 1024


@dataclass
class Sent:
    """What was sent: good events by account, and how many were sent twice, or were bad."""

    good: Counter[str] = field(default_factory=Counter)
    twice: int = 0
    bad: int = 0
    number: int = 0

    def events(self, count: int, now_ms: int, dice: random.Random) -> Iterator[bytes]:
        """The next events, as JSON."""
        for _ in range(count):
            self.number += 1
            account = f"account-{dice.randrange(ACCOUNTS)}"
            if dice.randrange(1000) < BAD_OF_1000:
                self.bad += 1
                yield b'{"id": "%d", "type": "page.viewed", "time": "noon"}' % self.number
                continue
            body = {
                "id": f"soak-{self.number}",
                "source": "soak",
                "type": dice.choice(("page.viewed", "report.exported", "card.scanned")),
                "account_id": account,
                "user_id": f"{account}-{dice.randrange(8)}",
                "time": iso_time(now_ms - dice.randrange(60_000)),
                "properties": {"feature": f"f{dice.randrange(12)}"},
            }
            self.good[account] += 1
            event = json.dumps(body).encode()
            yield event
            if dice.randrange(100) < TWICE_OF_100:
                self.twice += 1
                yield event


@dataclass(frozen=True)
class Sample:
    """One look: events sent so far, and of each process MiB resident and open descriptors."""

    events: int
    resident: dict[str, float]
    descriptors: dict[str, int]
    lag: dict[str, int]


async def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--apache-kafka", action="store_true")
    chosen = parser.parse_args()
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="myaku-soak-")))
        options = ["--partitions", str(PARTITIONS)]
        if chosen.apache_kafka:
            leash = Leash()
            stack.callback(leash.let_go)
            options += ["--kafka", await stack.enter_async_context(apache_kafka.running(leash))]
        clock = DrivenClock(directory / "clock", runtime.now_ms())
        myaku = await stack.enter_async_context(
            up(directory / "data", *options, environment=clock.environment)
        )
        await soak(myaku, clock, chosen.minutes * 60, chosen.rate)


async def soak(myaku: Installation, clock: DrivenClock, seconds: float, rate: int) -> None:
    """Send for so long, looking now and then; then hold the ledger."""
    up_file = DataDir(myaku.data_dir).read()
    assert up_file
    sent, samples, console = Sent(), list[Sample](), Console(width=150)
    began, started_ms, looked = time.monotonic(), clock.now_ms, 0.0
    dice = random.Random(1)
    async with senders(up_file) as (client, producer):
        while (passed := time.monotonic() - began) < seconds:
            day_seconds = passed * DAY_SECONDS / seconds
            clock.move_to(started_ms + round(day_seconds * 1000))
            due = min(round(day_seconds * rate) - sent.number, STEP_EVENTS_MAX)
            batch = list(sent.events(due, clock.now_ms, dice))
            half = len(batch) // 2
            await asyncio.gather(post(client, batch[:half]), send(producer, batch[half:]))
            if passed - looked >= SAMPLE_SECONDS:
                looked = passed
                samples.append(await look(myaku, up_file, sent))
                say(console, passed, samples[-1])
            await asyncio.sleep(STEP_SECONDS)
    show(console, samples)
    await hold_ledger(console, myaku, sent)
    console.print(f"refused: {await refused(up_file):,}")


@asynccontextmanager
async def senders(up_file: UpFile) -> AsyncIterator[tuple[httpx2.AsyncClient, AIOKafkaProducer]]:
    """Both ways in."""
    producer = kafka.producer(Settings.read(kafka=up_file.kafka, secret_key=up_file.secret_key))
    await producer.start()
    headers = {"Authorization": f"Bearer {up_file.write_key}"}
    async with httpx2.AsyncClient(
        base_url=up_file.ingest, headers=headers, timeout=30, trust_env=False
    ) as client:
        yield client, producer
    await producer.stop()


async def post(client: httpx2.AsyncClient, events: list[bytes]) -> None:
    """Send over HTTP, again until it is taken."""
    while events:
        answer = await client.post("/v1/events", content=b"\n".join(events))
        if answer.status_code == httpx2.codes.OK:
            return
        assert answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE, answer.text
        await asyncio.sleep(float(answer.headers["retry-after"]))


async def send(producer: AIOKafkaProducer, events: list[bytes]) -> None:
    """Send through Kafka, a partition's share at a time."""
    await asyncio.gather(
        *(
            kafka.send_in_order(
                producer,
                USAGE_EVENTS,
                partition,
                [(None, event, []) for event in events[partition::PARTITIONS]],
            )
            for partition in range(PARTITIONS)
        )
    )


async def look(myaku: Installation, up_file: UpFile, sent: Sent) -> Sample:
    """What everything takes now, and how far behind each service is."""
    names = {pid: name for name, pid in myaku.up_file["pids"].items()}
    resident: Counter[str] = Counter()
    descriptors: Counter[str] = Counter()
    for pid in descendants(myaku.process.pid):
        process = Path(f"/proc/{pid}")
        name = names.get(pid) or (process / "comm").read_text().strip()
        resident[name] += proportional_kib(process)
        descriptors[name] += len(os.listdir(process / "fd"))
    async with httpx2.AsyncClient() as client:
        reports = {
            name: await probes.ask(client, address) for name, address in up_file.operations.items()
        }
    lag = {name: report.lag_records or 0 for name, report in reports.items()}
    sizes = {name: kib / MIB for name, kib in resident.items()}
    return Sample(sent.number, sizes, dict(descriptors), lag)


def proportional_kib(process: Path) -> int:
    """What it holds resident, its part of what several share: the workers of PostgreSQL."""
    lines = (process / "smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def say(console: Console, passed: float, sample: Sample) -> None:
    """A line for whoever waits."""
    sizes = " ".join(f"{name} {mib:.0f}" for name, mib in sorted(sample.resident.items()))
    behind = " ".join(f"{name} {count}" for name, count in sample.lag.items())
    console.print(f"{passed:5.0f} s {sample.events:>10,} events; MiB: {sizes}; lag: {behind}")


def show(console: Console, samples: list[Sample]) -> None:
    """How the second half went: what grew, and how far behind anything was."""
    half = samples[len(samples) // 2 :]
    if len(half) < 2:
        return
    millions = (half[-1].events - half[0].events) / 1e6
    table = Table(
        "process", "MiB at half", "MiB at end", "bytes an event", "descriptors", "lag max"
    )
    for name in sorted(half[0].resident):
        first, last = half[0].resident[name], half[-1].resident.get(name, 0.0)
        open_files = [sample.descriptors.get(name, 0) for sample in half]
        lag = max(sample.lag.get(name, 0) for sample in half) if name in half[0].lag else None
        table.add_row(
            name,
            f"{first:.0f}",
            f"{last:.0f}",
            f"{(last - first) * MIB * MIB / millions / 1e6:.1f}",
            f"{min(open_files)}–{max(open_files)}",
            "" if lag is None else f"{lag:,}",
        )
    console.print(table)


async def hold_ledger(console: Console, myaku: Installation, sent: Sent) -> None:
    """What was sent against what was counted, in all and by account."""

    async def partitions() -> dict[str, int]:
        rows = await myaku.all("scoring", "/v1/partitions")
        return {name: sum(row[name] for row in rows) for name in ("counted", "duplicates")}

    expected = {"counted": sent.good.total(), "duplicates": sent.twice}
    for _ in range(LAST_SECONDS):
        if await partitions() == expected:
            break
        await asyncio.sleep(1)
    rows = await myaku.rows(
        "SELECT a.account_id, sum(d.value)::bigint FROM scoring.day_sum d"
        " JOIN scoring.account a USING (partition, account_no)"
        " JOIN scoring.signal s USING (partition, signal_no)"
        ' WHERE s.definition = \'["sum",null,["*"],{},[]]\' GROUP BY 1'
    )
    by_account = {str(account): int(count) for account, count in rows}
    console.print(f"sent: {sent.good.total():,} good, {sent.twice:,} twice, {sent.bad:,} bad")
    console.print(f"counted: {await partitions()}")
    wrong = [account for account, count in sent.good.items() if by_account.get(account) != count]
    console.print(f"accounts whose count is not what was sent: {len(wrong)} of {len(sent.good)}")


async def refused(up_file: UpFile) -> int:
    """How many records `usage.rejected` holds."""
    reader = kafka.reader(Settings.read(kafka=up_file.kafka, secret_key=up_file.secret_key))
    await reader.start()
    try:
        count = await kafka.partitions_of(reader, USAGE_REJECTED)
        places = [TopicPartition(USAGE_REJECTED, number) for number in range(count)]
        return sum((await reader.end_offsets(places)).values())
    finally:
        await reader.stop()


if __name__ == "__main__":
    asyncio.run(main())
