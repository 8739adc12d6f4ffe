"""How long after an event is sent its score can be read and its webhook has come.

    python -m benchmarks.latency [--kafka HOST:PORT] [--events 200] [--by http|kafka]

`myaku up`, live, with a rule that waits for nothing. Each measured event makes one account unhappy:
the time runs until `GET /v1/accounts/{id}` shows it, and until a receiver on loopback has the
webhook. First on a quiet stream, then among 200 other events a second. Ends with 1 where a 99th
percentile is not below a second.
"""

import argparse
import asyncio
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import yaml
from aiokafka import AIOKafkaProducer

from shared.configuration.files import SHIPPED
from shared.events import USAGE_EVENTS
from shared.runtime import now_ms
from shared.times import iso_time
from tests.alerts.receiver import SECRET, Receiver, receiving
from tests.end_to_end.installation import Installation, up
from tests.operations import world
from tests.processes import until

OTHERS_PER_SECOND = 200
PAUSE_SECONDS_MAX = 0.3
UNHAPPY = 50
"""Who says 0 in the survey is below it, whatever else the account does; who says 10 is not."""

ASK_SECONDS = 0.01
"""Between two questions for a score: asked without a pause, scoring would do little else."""

SECONDS_MAX = 1.0
"""The most that we accept as a 99th percentile."""


@dataclass
class Times:
    """Seconds from sending to each end, one of every measured event."""

    score: list[float] = field(default_factory=list)
    webhook: list[float] = field(default_factory=list)


class Product:
    """Sends events as a product's backend does, acknowledged, by HTTP or Kafka."""

    def __init__(self, myaku: Installation, client: httpx2.AsyncClient, by: str) -> None:
        self.up_file = myaku.up_file
        self.client = client
        self.by = by
        self.number = 0
        self.producer = AIOKafkaProducer(bootstrap_servers=self.up_file["kafka"], acks="all")

    async def answer(self, account: str, score: int) -> None:
        """The account's answer to the survey."""
        await self._send("survey.answered", account, {"survey": "nps", "score": score}, self.by)

    async def use(self, account: str) -> None:
        """Somebody uses the product."""
        await self._send("page.viewed", account, {"feature": "f"}, "kafka")

    async def _send(self, kind: str, account: str, properties: dict[str, Any], by: str) -> None:
        self.number += 1
        event = {
            "id": f"latency-{self.number}",
            "type": kind,
            "account_id": account,
            "user_id": f"user-of-{account}",
            "time": iso_time(now_ms()),
            "properties": properties,
        }
        if by == "kafka":
            await self.producer.send_and_wait(USAGE_EVENTS, json.dumps(event).encode())
            return
        headers = {"authorization": f"Bearer {self.up_file['write_key']}"}
        url = f"{self.up_file['ingest']}/v1/events"
        (await self.client.post(url, json=event, headers=headers)).raise_for_status()

    async def score_of(self, account: str) -> float | None:
        """What can be read of it now."""
        headers = {"authorization": f"Bearer {self.up_file['token']}"}
        url = f"{self.up_file['scoring']}/v1/accounts/{account}"
        answer = await self.client.get(url, headers=headers)
        found: float | None = answer.json().get("score")
        return found


def configuration(directory: Path, webhook: str) -> Path:
    """The shipped one, with the scorecard and the rule of this measurement."""
    shutil.copytree(SHIPPED, directory, ignore=shutil.ignore_patterns("__pycache__"))
    for name, part in world.document(webhook).items():
        if name != "product":
            (directory / f"{name}.yaml").write_text(yaml.safe_dump(part, sort_keys=False))
    return directory


async def measure(product: Product, receiver: Receiver, accounts: list[str]) -> Times:
    """One event after the other."""
    times = Times()
    for account in accounts:
        await asyncio.sleep(random.random() * PAUSE_SECONDS_MAX)
        receiver.arrived.clear()
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(product.answer(account, 0))
            seen = tasks.create_task(see(product, account))
            await receiver.arrived.wait()
            times.webhook.append(time.perf_counter() - begun)
            times.score.append(await seen - begun)
        assert json.loads(receiver.requests[-1][1])["data"]["account_id"] == account
    return times


async def see(product: Product, account: str) -> float:
    """When the account's score was seen to have fallen."""
    while (await product.score_of(account) or 0) > UNHAPPY:
        await asyncio.sleep(ASK_SECONDS)
    return time.perf_counter()


@asynccontextmanager
async def others(product: Product, accounts: list[str]) -> AsyncIterator[None]:
    """Meanwhile these accounts use the product; they are unhappy already, and stay so."""

    async def use() -> None:
        due = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(product.use(random.choice(accounts)))
                due += 1 / OTHERS_PER_SECOND
                await asyncio.sleep(max(0.0, due - time.perf_counter()))

    using = asyncio.create_task(use())
    try:
        yield
    finally:
        using.cancel()
        with suppress(asyncio.CancelledError):
            await using


async def prepare(product: Product, accounts: list[str]) -> None:
    """All of them are happy at first."""
    await asyncio.gather(*(product.answer(account, 10) for account in accounts))

    async def are_happy() -> bool:
        return all([(await product.score_of(account) or 0) >= 70 for account in accounts])

    await until(are_happy, 120)


def report(name: str, times: Times) -> bool:
    """Print the percentiles; whether they are good enough."""
    worst = 0.0
    for end, seconds in (("score", times.score), ("webhook", times.webhook)):
        cuts = statistics.quantiles(seconds, n=100)
        worst = max(worst, cuts[98])
        print(
            f"{name:>18}  {end:<8} p50 {cuts[49] * 1000:5.0f} ms   p99 {cuts[98] * 1000:5.0f} ms"
            f"   worst {max(seconds) * 1000:5.0f} ms   ({len(seconds)} events)",
            flush=True,
        )
    return worst < SECONDS_MAX


async def run(kafka: str | None, events: int, by: str) -> int:
    """Everything; the exit status."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with receiving() as receiver, httpx2.AsyncClient() as client:
            config = configuration(directory / "config", receiver.address)
            options = ["--config", str(config), *(["--kafka", kafka] if kafka else [])]
            secrets = {"MYAKU_SECRET_HOOK": SECRET}
            async with up(directory / "data", *options, environment=secrets) as myaku:
                product = Product(myaku, client, by)
                async with product.producer:
                    accounts = [f"account-{number}" for number in range(2 * events)]
                    await prepare(product, accounts)
                    quiet = await measure(product, receiver, accounts[:events])
                    good = report(f"quiet, by {by}", quiet)
                    async with others(product, accounts[:events]):
                        busy = await measure(product, receiver, accounts[events:])
                    good &= report(f"{OTHERS_PER_SECOND}/s, by {by}", busy)
    return 0 if good else 1


def main() -> int:
    """Read the command line and measure; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kafka", help="a broker without our topics; default: the embedded one")
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--by", choices=("http", "kafka"), default="http")
    chosen = parser.parse_args()
    return asyncio.run(run(chosen.kafka, chosen.events, chosen.by))


if __name__ == "__main__":
    sys.exit(main())
