"""Nothing is committed that is not acknowledged, and nothing is lost when something fails."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from services.ingest.accept import Rejected
from services.ingest.publish import Publisher
from shared.events import TICK, USAGE_EVENTS
from shared.settings import Settings
from tests.conftest import SECRET_KEY, settings_for
from tests.ingest.running import Log, committed, event, ids, ingesting, log
from tests.processes import eventually, until

EVENTS = 20_000


class FailsAtFirst(Publisher):
    """Sends a part of the first batches, and says that it failed."""

    failures = 2
    attempts = 0

    async def send(
        self,
        accepted: Iterable[tuple[str | None, bytes, bytes]],
        rejected: Iterable[Rejected] = (),
        rejected_ms: int = 0,
    ) -> None:
        """Send; the first times only half of it."""
        wanted = list(accepted)
        self.attempts += 1
        if self.attempts <= self.failures:
            await super().send(wanted[: len(wanted) // 2])
            raise KafkaTimeoutError
        await super().send(wanted, rejected, rejected_ms)


async def test_a_batch_that_failed_is_sent_again_whole_and_committed_only_then(
    kafka_address: str, database_url: str
) -> None:
    settings = settings_for(kafka_address, database_url, clock="events")
    async with log(settings) as broker:
        await broker.send(*(event(number) for number in range(100)), b"{")
        async with ingesting(settings, publisher=FailsAtFirst) as ingest:
            publisher = ingest.publisher
            assert isinstance(publisher, FailsAtFirst)
            publisher.failures = 10**6
            await eventually(lambda: publisher.attempts >= 2)
            assert not await ingest.consumer.committed(TopicPartition(USAGE_EVENTS, 0))
            publisher.failures = 0
            await committed(ingest, [101])
            await everything_is_there(broker, 100)
            assert len(await broker.rejected()) == 1


async def everything_is_there(broker: Log, count: int) -> None:
    """Every event, and the first copies of an account's in their order."""
    found: set[str] = set()
    for partition in range(broker.partitions):
        by_account: dict[bytes, list[int]] = {}
        for one in await broker.accepted(partition):
            if one.key != TICK.encode():
                name = json.loads(one.value)["id"]
                if name not in found:
                    found.add(name)
                    by_account.setdefault(one.key, []).append(int(name[2:]))
        assert all(numbers == sorted(numbers) for numbers in by_account.values())
    assert len(found) == count


async def test_without_its_database_it_waits_and_goes_on(
    tansu_address: str, database_url: str
) -> None:
    settings = settings_for(tansu_address, database_url, clock="events")
    async with log(settings, partitions=1) as broker, ingesting(settings) as ingest:
        async with ingest.database.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE ingest.membership RENAME TO away")
        await broker.send(event(id="j", type="user.joined", user_id="u"), event(1))
        await asyncio.wait([asyncio.create_task(ingest.running.pause(1))])
        assert await broker.accepted(0) == []
        async with ingest.database.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE ingest.away RENAME TO membership")
        await committed(ingest, [2])
        assert ids(await broker.accepted(0)) == ["j", "e-1"]


def start(settings: Settings, **others: str) -> "subprocess.Popen[bytes]":
    """The service as a process of its own."""
    environment = {
        **os.environ,
        "MYAKU_KAFKA": settings.kafka,
        "MYAKU_DATABASE_URL": settings.database_url.get_secret_value(),
        "MYAKU_SECRET_KEY": SECRET_KEY,
        "MYAKU_CLOCK": settings.clock,
        "MYAKU_GROUP": settings.group,
        "MYAKU_KAFKA_SESSION_TIMEOUT_MS": "6000",
        "MYAKU_INGEST_PORT": "0",
        "MYAKU_INGEST_OPERATIONS_PORT": "0",
        **others,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "services.ingest"], env=environment, stderr=subprocess.PIPE
    )


async def test_killed_in_the_middle_it_loses_nothing_and_keeps_the_order(
    kafka_address: str, database_url: str
) -> None:
    settings = settings_for(kafka_address, database_url, clock="events")
    async with log(settings) as broker:
        time = "2020-01-01T00:00:00Z"  # the process reads the real clock
        await broker.send(*(event(number, time=time) for number in range(EVENTS)))

        async def some_arrived() -> bool:
            return bool(await broker.accepted(0))

        first = start(settings)
        try:
            await until(some_arrived)
        finally:
            first.kill()
            first.communicate()
        async with ingesting(settings) as ingest:
            await committed(ingest, [EVENTS])
        await everything_is_there(broker, EVENTS)


async def test_two_workers_share_the_partitions_and_one_that_ends_leaves_them_to_the_other(
    kafka_address: str, database_url: str
) -> None:
    settings = settings_for(kafka_address, database_url)
    async with log(settings, sources=2) as broker, ingesting(settings) as stays:
        async with ingesting(settings) as goes:
            await eventually(lambda: {len(stays.owned), len(goes.owned)} == {1})
            for partition in (0, 1):
                await broker.send(event(partition), partition=partition)
            await committed(stays, [1, 1])
        await eventually(lambda: len(stays.owned) == 2)
        for partition in (0, 1):
            await broker.send(event(2 + partition), partition=partition)
        await committed(stays, [2, 2])
        events: list[Any] = [one for one in ids(await broker.all_accepted()) if one != TICK]
        assert set(events) == {"e-0", "e-1", "e-2", "e-3"}


WRONG = [
    ({"MYAKU_KAFKA": "127.0.0.1:9"}, "The Kafka broker at 127.0.0.1:9 cannot be reached"),
    ({"MYAKU_SECRET_KEY": "short"}, "MYAKU_SECRET_KEY is wrong"),
    ({"MYAKU_DATABASE_URL": "postgresql://127.0.0.1:9/none"}, "The database at postgresql"),
    ({}, "There is no topic usage.events"),
]


async def test_what_is_wrong_is_said_in_one_sentence(tansu_address: str, database_url: str) -> None:
    settings = settings_for(tansu_address, database_url)
    processes: Sequence[Any] = [start(settings, **wrong) for wrong, _ in WRONG]
    for process, (_, sentence) in zip(processes, WRONG, strict=True):
        _, said = await asyncio.to_thread(process.communicate)
        lines = said.decode().splitlines()
        assert process.returncode == 1
        assert sentence in lines[-1]
        assert "Traceback" not in said.decode()
