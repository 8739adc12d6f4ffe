"""`myaku rebuild` on a real broker and database: the log alone says what the database has."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, ConsumerRecord
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.scoring.engine import RawRecord
from services.scoring.pipeline import Scoring
from services.scoring.rebuild import shadow
from services.scoring.rebuild.outcome import Rebuilt, said
from services.scoring.rebuild.run import partitions, rebuild, shadowing
from shared import database, kafka, topics
from shared.database import transaction
from shared.events import USAGE_ACCEPTED, Marker
from shared.offsets import Fenced
from shared.runtime import UserError
from shared.settings import Settings
from shared.times import iso_time
from tests.admin.commands import Said, myaku
from tests.conftest import settings_for
from tests.scoring.random_log import DAY_MS, IDS, START_MS, RandomLog, erasure, event, tick
from tests.scoring.test_backfill import history
from tests.scoring.test_backfill_pipeline import CHANGE, NOW_MS
from tests.scoring.test_backfill_pipeline import Deployment as Filled

MARKER = Marker("log-1", 1)
OFFSET = 1
"""Of the first record behind the marker."""


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = database.create(database_url)
    yield made
    await made.dispose()


@pytest_asyncio.fixture
async def settings(tansu_address: str, database_url: str) -> Settings:
    made = settings_for(tansu_address, database_url)
    await topics.create_log(made, partitions=1, log_id="log-1", source_partitions=1)
    return made


@pytest_asyncio.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    producer = kafka.producer(settings)
    await producer.start()
    yield producer
    await producer.stop()


class Deployment:
    """A log, and a scoring worker that has read it in batches."""

    def __init__(self, settings: Settings, engine: AsyncEngine, producer: AIOKafkaProducer) -> None:
        self.settings, self.engine, self.producer = settings, engine, producer
        self.room = self.new_room()

    def new_room(self) -> Scoring:
        return Scoring(
            self.engine, self.producer, owner="one", moved_by="wall", now_ms=lambda: START_MS
        )

    async def score(self, batches: Sequence[Sequence[RawRecord]]) -> None:
        """Send and score each batch; offsets are those of the log."""
        for batch in batches:
            sent: list[kafka.Record] = [(record.key, record.value, []) for record in batch]
            await kafka.send_in_order(self.producer, USAGE_ACCEPTED, 0, sent)
            await self.room.handle(0, [consumed(record) for record in batch])

    async def rebuild(self, *, replacing: bool = False) -> Rebuilt:
        async with shadowing(self.settings, self.engine) as made:
            return await rebuild(
                self.settings, self.engine, made, 0, lambda *_: None, replacing=replacing
            )

    async def run(self, *statements: str) -> None:
        async with transaction(self.engine) as connection:
            for statement in statements:
                await connection.execute(text(statement))

    async def rows(self, columns: str) -> list[tuple[Any, ...]]:
        async with self.engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(f"SELECT {columns}"))]


def consumed(record: RawRecord) -> ConsumerRecord:
    return ConsumerRecord(
        topic=USAGE_ACCEPTED,
        partition=0,
        offset=record.offset + OFFSET,
        timestamp=START_MS,
        timestamp_type=0,
        key=record.key,
        value=record.value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=(),
    )


@pytest_asyncio.fixture
async def deployment(
    settings: Settings, engine: AsyncEngine, producer: AIOKafkaProducer
) -> Deployment:
    made = Deployment(settings, engine, producer)
    await made.room.load(0, MARKER)
    return made


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("seed", range(4))
async def test_the_state_from_the_log_alone_is_the_one_that_is_kept(
    seed: int, live: bool, deployment: Deployment
) -> None:
    batches = list(RandomLog(seed).batches(24))
    await deployment.score(batches if live else batches[:16])
    found = await deployment.rebuild()
    assert found.is_equal, "\n".join(said([found]))
    assert sum(table.rows for table in found.tables) > 200
    assert not await deployment.rows(f"1 FROM pg_namespace WHERE nspname = '{shadow.SCHEMA}'"), (
        "nothing is left behind"
    )


def acts(now_ms: int, offset: int) -> list[RawRecord]:
    """What people do to accounts is in the log too."""
    override = {"score": 11, "author": "ana", "reason": "knows"}
    override["expires_at"] = iso_time(now_ms + 90 * DAY_MS)
    told = {"type": "account.overridden", "source": "myaku", "properties": override}
    closed = {"type": "account.closed", "source": "myaku", "account_id": IDS[1]}
    records = [
        event("act-1", now_ms - 1, **told),
        event("act-2", now_ms - 1, **closed),
        erasure("u2", now_ms - 1),
    ]
    return [RawRecord(offset + at, *record) for at, record in enumerate(records)]


async def test_what_was_damaged_is_told_and_replaced_and_scoring_goes_on_from_it(
    deployment: Deployment,
) -> None:
    log = RandomLog(11)
    stream = log.batches(24)
    batches = [next(stream) for _ in range(20)]
    end = batches[-1][-1].offset + 1
    await deployment.score([*batches, acts(log.now_ms, end)])
    published = dict(await deployment.rows("account_id, sequence FROM scoring.health"))
    await deployment.run(
        "DELETE FROM scoring.day_sum WHERE value % 2 = 0",
        "UPDATE scoring.fact SET value = '1' WHERE name LIKE 'profile.%'",
        "DELETE FROM scoring.seen",
        "UPDATE scoring.account SET account_no = 100 WHERE account_no = 0",
        "UPDATE scoring.published SET account_no = 100 WHERE account_no = 0",
        "UPDATE scoring.health SET account_no = 100 WHERE account_no = 0",
        "DELETE FROM scoring.published WHERE account_no = 1",
        "DELETE FROM scoring.health WHERE account_no = 1",
    )
    damaged = await deployment.rebuild(replacing=True)
    different = {table.table for table in damaged.tables if table.different}
    assert {"day_sum", "fact", "seen", "health", "account_user"} <= different
    assert "configuration" not in different
    lines = list(said([damaged]))
    assert lines[0].endswith("the database has not what the log says.")
    assert any(line.startswith("  scoring.day_sum: ") for line in lines)
    assert lines[-1] == "Partition 0 is replaced: scoring loads it anew."
    assert (await deployment.rebuild()).is_equal
    owner = await deployment.rows("owner, epoch FROM scoring.partition")
    assert owner == [("myaku rebuild", 2)]
    with pytest.raises(Fenced):
        await deployment.score([[RawRecord(end + 3, *tick(log.now_ms, "live"))]])
    deployment.room = deployment.new_room()
    assert await deployment.room.load(0, MARKER) == end + 3 + OFFSET
    await deployment.score([[RawRecord(end + 4, *tick(log.now_ms + DAY_MS, "live"))]])
    now = dict(await deployment.rows("account_id, sequence FROM scoring.health"))
    assert now.keys() == published.keys()
    assert all(now[account] >= sequence for account, sequence in published.items())


async def test_scoring_goes_on_while_its_state_is_rebuilt(deployment: Deployment) -> None:
    batches = list(RandomLog(12).batches(24))
    await deployment.score(batches[:10])
    found, _ = await asyncio.gather(deployment.rebuild(), deployment.score(batches[10:]))
    assert found.is_equal, "\n".join(said([found]))
    again = await deployment.rebuild()
    assert again.is_equal, "\n".join(said([again]))
    assert again.offset == batches[-1][-1].offset + 1 + OFFSET


async def test_what_a_backfill_has_learned_is_learned_again(
    settings: Settings, engine: AsyncEngine, producer: AIOKafkaProducer
) -> None:
    filled = Filled(engine, settings, producer)
    await filled.restart()
    await filled.send(*history(), *CHANGE)
    await filled.score()
    await filled.backfill()
    await filled.send(event("later", NOW_MS + 61_000, type="exported"), tick(NOW_MS + 120_000))
    await filled.score()
    assert (await filled.driver("exports")).value == 3.0
    found = await Deployment(settings, engine, producer).rebuild()
    assert found.is_equal, "\n".join(said([found]))


async def test_a_log_that_has_not_everything_is_nothing_to_build_from(
    deployment: Deployment,
) -> None:
    await deployment.score(list(RandomLog(1).batches(3)))
    await deployment.run("UPDATE scoring.partition SET first_log_id = ''")
    with pytest.raises(UserError, match="not the deployment's first, or was cut"):
        await deployment.rebuild()
    with pytest.raises(UserError, match=r"no partition 3: it has \[0\]"):
        await partitions(deployment.engine, 3)


async def test_the_command_says_whether_they_are_equal(deployment: Deployment) -> None:
    await deployment.score(list(RandomLog(2).batches(6)))

    async def command() -> Said:
        return await myaku(
            *("rebuild", "--partition", "0"),
            MYAKU_KAFKA=deployment.settings.kafka,
            MYAKU_DATABASE_URL=deployment.settings.database_url.get_secret_value(),
        )

    equal = await command()
    assert equal.status == 0, equal.error
    assert "the database has what the log says, in all of" in equal.output
    await deployment.run("UPDATE scoring.partition SET counted = counted + 1")
    other = await command()
    assert other.status == 1
    assert "scoring.partition: 1 of 1 rows differ" in other.output
