"""A configuration with a webhook, and the undisturbed run that others are held against."""

import gzip
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.configuration.files import SHIPPED
from shared.events import USAGE_ACCEPTED
from shared.kafka import partitions_of
from tests.conftest import remove_topics
from tests.end_to_end import small_history
from tests.end_to_end.installation import Installation, run, up
from tests.end_to_end.receiver import SECRET, Receiver, receiving
from tests.end_to_end.snapshots import Snapshot, snapshot
from tests.processes import until
from tests.scoring.histories import Record

ENVIRONMENT = {
    "MYAKU_SECRET_HOOK": SECRET,
    "MYAKU_KAFKA_SESSION_TIMEOUT_MS": "6000",  # the least that Apache Kafka allows
}
ROUTING = """
fallback: cs-ops@example.com
destinations:
  hook: {{type: webhook, url: "{url}", secret: "secret://hook"}}
to: [hook]
"""


@dataclass(frozen=True)
class History:
    """A file of events, and what is to become of its lines."""

    path: Path
    counts: dict[str, int]


@dataclass(frozen=True)
class Run:
    """A history that was replayed to its end."""

    printed: str
    before: Snapshot
    again: Snapshot
    """After a second replay of the same file."""
    requests: list[str]
    """The ids of the webhook requests, in order."""
    messages: dict[str, Any]
    requests_again: int
    accounts: list[Any]
    partitions: list[Any]
    lives: dict[str, list[str]]
    """The days of each account's history, as the API gives them."""
    accepted: list[Record]
    """What stands in `usage.accepted` after the first replay, by partition, then in order."""


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A small history, or the one that MYAKU_TEST_EVENTS names."""
    if named := os.environ.get("MYAKU_TEST_EVENTS"):
        with gzip.open(named) as file:
            lines = sum(1 for _ in file)
        return History(Path(named), {"accepted": lines, "duplicates": 0})
    path = tmp_path_factory.mktemp("history") / "events.ndjson.gz"
    return History(path, small_history.write(path))


@pytest_asyncio.fixture
async def broker_options(broker_name: str) -> list[str]:
    """The options that make `myaku up` use each broker."""
    if broker_name == "tansu":
        return []
    await remove_topics(broker_name)
    return ["--kafka", broker_name]


def configuration(directory: Path, url: str) -> Path:
    """The shipped configuration, with all notifications going to a webhook."""
    shutil.copytree(SHIPPED, directory, ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "routing.yaml").write_text(ROUTING.format(url=url))
    return directory


def options(config: Path) -> list[str]:
    """What `myaku up` is given in these tests."""
    return ["--clock", "events", "--config", str(config), "--deliver-history"]


async def read_all(address: str, topic: str) -> list[Record]:
    """All records of a topic, partition by partition."""
    return [record for records in await read_partitions(address, topic) for record in records]


async def read_partitions(address: str, topic: str) -> list[list[Record]]:
    """All records of each partition of a topic."""
    found: list[list[Record]] = []
    for record in await read_records(address, topic):
        while len(found) <= record.partition:
            found.append([])
        found[record.partition].append((record.key, record.value))
    return found


async def read_records(address: str, topic: str) -> list[ConsumerRecord]:
    """The same as they come from the broker, with offsets and headers."""
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return [
            record
            for partition in range(await partitions_of(consumer, topic))
            for record in await _read(consumer, TopicPartition(topic, partition))
        ]
    finally:
        await consumer.stop()


async def _read(consumer: AIOKafkaConsumer, place: TopicPartition) -> list[ConsumerRecord]:
    consumer.assign([place])
    consumer.seek(place, 0)
    found: list[ConsumerRecord] = []
    while (highwater := consumer.highwater(place)) is None or len(found) < highwater:
        batch = await consumer.getmany(place, timeout_ms=200)
        found += batch.get(place, [])
    return found


async def delivered(installation: Installation) -> None:
    """Wait until no notification waits to be sent."""
    waiting = "SELECT count(*) FROM alerts.notification WHERE status IN ('queued','leased','retry')"

    async def nothing_waits() -> bool:
        return bool((await installation.rows(waiting))[0][0] == 0)

    await until(nothing_waits)


async def end_leases(installation: Installation) -> None:
    """As if the time of every lease were over, which is 90 s."""
    await installation.rows("UPDATE alerts.notification SET lease_until_ms = 0")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def undisturbed(tmp_path_factory: pytest.TempPathFactory, history: History) -> Run:
    """The history through the embedded broker and database, 4 partitions, twice."""
    directory = tmp_path_factory.mktemp("undisturbed")
    async with receiving() as receiver:
        config = configuration(directory / "config", receiver.url)
        async with up(directory / "data", *options(config), environment=ENVIRONMENT) as myaku:
            return await _run(myaku, receiver, history)


async def _run(myaku: Installation, receiver: Receiver, history: History) -> Run:
    status, printed = await run("replay", str(history.path), "--wait", data_dir=myaku.data_dir)
    assert status == 0, printed
    await delivered(myaku)
    before, requests = await snapshot(myaku), list(receiver.ids)
    accounts = await myaku.all("scoring", "/v1/accounts")
    partitions = await myaku.all("scoring", "/v1/partitions")
    lives = {}
    for health in accounts:
        path = f"/v1/accounts/{health['account_id']}/history"
        lives[health["account_id"]] = [row["day"] for row in await myaku.all("scoring", path)]
    accepted = await read_all(myaku.up_file["kafka"], USAGE_ACCEPTED)
    status, printed_again = await run(
        "replay", str(history.path), "--wait", data_dir=myaku.data_dir
    )
    assert status == 0, printed_again
    await delivered(myaku)
    return Run(
        printed=printed,
        before=before,
        again=await snapshot(myaku),
        requests=requests,
        messages=dict(receiver.messages),
        requests_again=len(receiver.ids) - len(requests),
        accounts=accounts,
        partitions=partitions,
        lives=lives,
        accepted=accepted,
    )
