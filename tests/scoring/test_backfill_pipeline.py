"""`myaku backfill` on a real broker and database, while the scoring worker goes on."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.scoring.backfill import kept_log, run
from services.scoring.backfill.outcome import Outcome, said
from services.scoring.engine.backfill import telling
from services.scoring.pipeline import Scoring
from shared import database, kafka, topics
from shared.events import BACKFILLED, USAGE_ACCEPTED, Marker, decode_health
from shared.log_identity import begin_anew
from shared.runtime import UserError
from shared.settings import Settings
from tests.conftest import settings_for
from tests.scoring.random_log import DAY_MS, START_MS, config, event, tick
from tests.scoring.test_backfill import history, with_exports

MARKER = Marker("log-1", 1)
PLACE = TopicPartition(USAGE_ACCEPTED, 0)
NOW_MS = START_MS + 40 * DAY_MS
CHANGE = [config(with_exports()), tick(NOW_MS + 60_000)]


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = database.create(database_url)
    yield made
    await made.dispose()


@pytest_asyncio.fixture
async def settings(tansu_address: str, database_url: str) -> Settings:
    return settings_for(tansu_address, database_url)


@pytest_asyncio.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    await topics.create_log(settings, partitions=1, log_id="log-1", source_partitions=1)
    producer = kafka.producer(settings)
    await producer.start()
    yield producer
    await producer.stop()


class Deployment:
    """A log, and a scoring worker that reads it when it is told to."""

    def __init__(self, engine: AsyncEngine, settings: Settings, producer: AIOKafkaProducer) -> None:
        self.engine, self.settings, self.producer = engine, settings, producer
        self.room = self._new_room()
        self.next = 0

    def _new_room(self) -> Scoring:
        now = {"moved_by": "events", "now_ms": lambda: START_MS}
        return Scoring(self.engine, self.producer, owner="one", **now)  # type: ignore[arg-type]

    async def restart(self) -> None:
        """A worker that takes over, from the database."""
        self.room = self._new_room()
        self.next = await self.room.load(0, MARKER)

    async def send(self, *records: tuple[bytes, bytes]) -> None:
        for key, value in records:
            await self.producer.send_and_wait(USAGE_ACCEPTED, value, key=key, partition=0)

    async def score(self) -> None:
        """Handle what is in the log."""
        records = await self.read()
        if records:
            await self.room.handle(0, records)
            self.next = records[-1].offset + 1

    async def read(self) -> list[ConsumerRecord]:
        consumer = kafka.reader(self.settings)
        await consumer.start()
        consumer.assign([PLACE])
        consumer.seek(PLACE, self.next)
        end = (await consumer.end_offsets([PLACE]))[PLACE]
        found: list[ConsumerRecord] = []
        while self.next + len(found) < end:
            found += (await consumer.getmany(PLACE, timeout_ms=100)).get(PLACE, [])
        await consumer.stop()
        return found

    async def backfill(self) -> Outcome:
        return await run.backfill(self.settings, self.engine, self.producer, wait_seconds=0)

    async def count(self, table: str) -> int:
        async with self.engine.connect() as connection:
            found = await connection.execute(text(f"SELECT count(*) FROM scoring.{table}"))
            return int(found.scalar_one())

    async def driver(self, measure: str) -> Any:
        async with self.engine.connect() as connection:
            found = await connection.execute(text("SELECT record::text FROM scoring.health"))
            health = decode_health(found.scalar_one())
        return next(driver for driver in health.drivers if driver.measure == measure)


@pytest_asyncio.fixture
async def deployment(
    engine: AsyncEngine, settings: Settings, producer: AIOKafkaProducer
) -> Deployment:
    made = Deployment(engine, settings, producer)
    await made.restart()
    await made.send(*history())
    await made.score()
    return made


async def test_what_the_log_says_is_taken_in_while_events_go_on_coming(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "PIECE_ACCOUNTS", 1)
    monkeypatch.setattr(kept_log, "RECORDS_MAX", 2)
    await deployment.send(event("other", NOW_MS, type="exported", account_id="beta"))
    await deployment.send(*CHANGE)
    await deployment.send(event("later", NOW_MS + 61_000, type="exported", user_id="u"))
    await deployment.send(*history()[-1:])  # seen before: nobody counts it again
    await deployment.score()
    outcome = await deployment.backfill()
    assert outcome == Outcome(1, frozenset({"exports"}), True, False, False)
    assert await deployment.count("learned") == 2
    await deployment.send(event("latest", NOW_MS + 62_000, type="exported"))
    await deployment.send(tick(NOW_MS + 120_000))
    await deployment.score()
    assert (await deployment.count("unread"), await deployment.count("learned")) == (0, 0)
    await deployment.restart()
    await deployment.send(event("b", NOW_MS + 63_000, account_id="beta", type="account.closed"))
    await deployment.send(tick(NOW_MS + 180_000))
    await deployment.score()
    async with deployment.engine.connect() as connection:
        found = await connection.execute(
            text("SELECT account_id, record::text FROM scoring.health ORDER BY 1")
        )
        exports = {
            account: next(
                driver.value
                for driver in decode_health(record).drivers
                if driver.measure == "exports"
            )
            for account, record in found
        }
    assert exports == {"acme": 4.0, "beta": 1.0}


async def test_however_often_it_is_run_and_cut_short_nothing_counts_twice(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deployment.send(*CHANGE)
    await deployment.score()

    async def crash(*_: object, **__: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(deployment.producer, "send_and_wait", crash)
        with pytest.raises(OSError, match="killed"):
            await deployment.backfill()
    assert await deployment.count("learned") == 1
    for _ in range(2):
        await deployment.backfill()
    assert await deployment.count("learned") == 1
    records = await deployment.read()
    assert [record.key for record in records] == [BACKFILLED.encode()] * 2
    await deployment.room.handle(0, records[:1])  # what it names was replaced
    assert await deployment.count("unread") == 1
    await deployment.restart()
    await deployment.send(tick(NOW_MS + 120_000))
    await deployment.score()
    assert (await deployment.driver("exports")).value == 2.0
    again = await deployment.backfill()
    assert said(again) == ["Nothing waits for the kept log: all metrics have what it says."]


async def test_a_configuration_that_waits_for_its_tick_is_said(deployment: Deployment) -> None:
    await deployment.send(*CHANGE[:1])
    await deployment.score()
    outcome = await deployment.backfill()
    assert (outcome.pending, outcome.partitions) == (True, 0)
    assert said(outcome)[0].startswith("A configuration is still to take effect")


async def test_a_signal_that_waited_for_a_log_that_is_gone_waits_no_longer(
    deployment: Deployment,
) -> None:
    await deployment.send(*CHANGE)
    await deployment.score()
    await begin_anew(deployment.engine, "log-2")
    room = deployment._new_room()
    await room.load(0, Marker("log-2", 1))
    assert (await deployment.backfill()).partitions == 0
    assert not room.partitions[0].state.unread


async def test_another_log_than_scoring_s_is_refused(deployment: Deployment) -> None:
    await begin_anew(deployment.engine, "log-2")
    room = deployment._new_room()
    await room.load(0, Marker("log-2", 1))
    deployment.next = 0
    await deployment.send(*CHANGE)
    await room.handle(0, await deployment.read())
    with pytest.raises(UserError, match="not the one that scoring reads"):
        await deployment.backfill()
