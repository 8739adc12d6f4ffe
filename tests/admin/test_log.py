"""`myaku log`: another log than before is refused, and adopted without counting anything twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.admin.adoption import Start, adopt, starts
from services.admin.standing import Standing, standings
from services.alerts.pipeline import Alerts
from services.ingest.publish import Publisher
from services.scoring.pipeline import Scoring
from services.standalone import broker
from services.standalone.keeper import Leash
from shared import database, kafka, topics
from shared.events import (
    CONFIG,
    HEALTH_CHANGES,
    TICK,
    USAGE_ACCEPTED,
    Config,
    Marker,
    decode_control,
)
from shared.log_identity import check_log
from shared.runtime import UserError
from shared.settings import Settings
from tests.admin.commands import Said, myaku
from tests.alerts.world import AT_ONCE
from tests.conftest import new_database, remove_topics, settings_for
from tests.processes import until
from tests.scoring.random_log import START_MS, RandomLog, config

Records = list[tuple[bytes | None, bytes | None]]
TABLES = {
    "scoring.health": "account_id, sequence, record::text",
    "scoring.history": "account_no, day, score_tenths, band, coverage_hundredths, stale",
    "scoring.day_sum": "day, signal_no, account_no, value",
    "scoring.fact": "account_no, name, time_ms, event_id, value::text",
    "scoring.partition": "clock ->> 'clock'",
    "scoring.erased": "time_ms",
    "alerts.alert": "id, state, record::text",
    "alerts.event": "alert_id, number, record::text",
    "alerts.notification": "id, kind, status, body::text",
    "alerts.partition": "clock_ms, tick_ms, live",
}
"""What must not tell that there was another log: all but offsets, epochs and numbers of rows."""


class Deployment:
    """A log of one partition, and services that read it when they are told to."""

    def __init__(self, settings: Settings, engine: AsyncEngine, producer: AIOKafkaProducer) -> None:
        self.settings, self.engine, self.producer = settings, engine, producer

    async def send(self, records: Records, topic: str = USAGE_ACCEPTED) -> None:
        sent: list[kafka.Record] = [(key, value, []) for key, value in records]
        await kafka.send_in_order(self.producer, topic, 0, sent)

    async def work(self) -> None:
        """Score all that is in the log, and decide on it, as services do that have just started."""
        now = {"moved_by": "events", "now_ms": lambda: START_MS}
        scoring = Scoring(self.engine, self.producer, owner="one", **now)  # type: ignore[arg-type]
        alerts = Alerts(self.engine, owner="one", deliver_history=False, wake=lambda: None)
        for topic, room in ((USAGE_ACCEPTED, scoring), (HEALTH_CHANGES, alerts)):
            place = TopicPartition(topic, 0)
            marker = (await topics.read_markers(self.settings, [place]))[place]
            offset = await room.load(0, marker)
            if records := await self.read(place, offset):
                await room.handle(0, records)

    async def read(self, place: TopicPartition, offset: int) -> list[ConsumerRecord]:
        consumer = kafka.reader(self.settings)
        await consumer.start()
        consumer.assign([place])
        consumer.seek(place, offset)
        found: list[ConsumerRecord] = []
        while (end := consumer.highwater(place)) is None or offset + len(found) < end:
            found += (await consumer.getmany(place, timeout_ms=100)).get(place, [])
        await consumer.stop()
        return found

    async def next(self, schema: str = "scoring") -> int:
        return int((await self.rows(f"{schema}.partition", "next"))[0][0])

    async def rows(self, table: str, columns: str) -> list[tuple[Any, ...]]:
        async with self.engine.connect() as connection:
            found = await connection.execute(text(f"SELECT {columns} FROM {table}"))
            return sorted((tuple(row) for row in found), key=repr)

    async def known(self) -> dict[str, list[tuple[Any, ...]]]:
        return {table: await self.rows(table, columns) for table, columns in TABLES.items()}

    async def starts(self) -> list[Start]:
        return await starts(self.settings, await standings(self.settings, self.engine))

    async def found(self, topic: str = USAGE_ACCEPTED) -> Standing:
        found = await standings(self.settings, self.engine)
        return next(one for one in found if one.place.topic == topic)

    async def say(self, *arguments: str) -> Said:
        return await myaku(
            *arguments,
            MYAKU_KAFKA=self.settings.kafka,
            MYAKU_DATABASE_URL=self.settings.database_url.get_secret_value(),
        )


@asynccontextmanager
async def deployment(address: str, url: str, log_id: str | None) -> AsyncIterator[Deployment]:
    """With topics of their own, unless there is no id for them."""
    settings = settings_for(address, url)
    if log_id:
        await topics.create_log(settings, partitions=1, log_id=log_id, source_partitions=1)
    engine, producer = database.create(url), kafka.producer(settings)
    await producer.start()
    try:
        yield Deployment(settings, engine, producer)
    finally:
        await producer.stop()
        await engine.dispose()


@asynccontextmanager
async def another_log(address: str, broker_name: str, tmp_path: Path) -> AsyncIterator[str]:
    """A cluster without our topics: another broker, or the same after they were lost."""
    if broker_name == "tansu":
        async with broker.running(Leash(), tmp_path / "another.log") as running:
            yield running.address
        return
    await remove_topics(address)
    yield address


def history(seed: int) -> Records:
    """Events of all kinds, late and double ones, ticks, configurations, erasures; nothing live."""
    batches = list(RandomLog(seed).batches(18))[:12]
    return [_alerting(record.key, record.value) for batch in batches for record in batch]


def _alerting(key: bytes | None, value: bytes | None) -> tuple[bytes | None, bytes | None]:
    """A configuration gets a rule."""
    if key != CONFIG.encode():
        return key, value
    body = decode_control(value or b"")
    assert isinstance(body, Config)
    return config({**body.document, "alerts": {"rules": [AT_ONCE]}})


@pytest.fixture(scope="module")
def records() -> Records:
    return history(7)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def undisturbed(
    records: Records, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[tuple[Any, ...]]]:
    """What is known of the records when nothing happens to the log."""
    logged = tmp_path_factory.mktemp("undisturbed") / "broker.log"
    url = await new_database(postgres_url)
    async with (
        broker.running(Leash(), logged) as running,
        deployment(running.address, url, "log-0") as untroubled,
    ):
        await untroubled.send(records)
        await untroubled.work()
        found = await untroubled.known()
    assert all(found.values()), {table: len(rows) for table, rows in found.items()}
    return found


async def test_a_log_that_was_made_anew_is_adopted(
    kafka_address: str,
    broker_name: str,
    database_url: str,
    records: Records,
    undisturbed: dict[str, list[tuple[Any, ...]]],
    tmp_path: Path,
) -> None:
    cut = len(records) * 2 // 3
    async with deployment(kafka_address, database_url, "log-1") as before:
        await before.send(records[:cut])
        await before.work()
    async with (
        another_log(kafka_address, broker_name, tmp_path) as address,
        deployment(address, database_url, "log-2") as after,
    ):
        again = [record for record in records[cut // 2 : cut] if record[0] != CONFIG.encode()]
        await after.send(again + records[cut:])
        with pytest.raises(UserError, match=r"another log \(log-2\) .* `myaku log adopt`"):
            await after.work()
        with pytest.raises(UserError, match=r"another log"):
            await check_log(after.settings, after.engine, "alerts")
        shown = await after.say("log", "show")
        assert shown.status == 1
        assert "partition 0 of usage.accepted is of log log-2, the database" in shown.output
        asked = await after.say("log", "adopt")
        assert asked.status == 1, "nobody said yes"
        assert await after.next() == cut + 1
        said = await after.say("log", "adopt", "--yes")
        assert said.status == 0, said.error
        assert f"what log log-1 held from offset {cut + 1} on" in said.output
        assert (await after.next(), await after.next("alerts")) == (0, 0)
        await after.work()
        assert await after.known() == undisturbed


async def test_a_mirror_goes_on_behind_the_last_tick_that_was_handled(
    kafka_address: str,
    broker_name: str,
    database_url: str,
    records: Records,
    undisturbed: dict[str, list[tuple[Any, ...]]],
    tmp_path: Path,
) -> None:
    """Its records have other offsets, and nobody but their ticks says which were handled."""
    cut = len(records) * 2 // 3
    async with deployment(kafka_address, database_url, "log-1") as before:
        await before.send(records[:cut])
        await before.work()
    async with (
        another_log(kafka_address, broker_name, tmp_path) as address,
        deployment(address, database_url, "log-1") as after,
    ):
        await after.send(records[:5] + records[14:])
        assert (await after.found()).misfit() is None, "nothing but the offsets is different"
        chosen = await after.starts()
        handled = [at for at, (key, _) in enumerate(records[:cut]) if key == TICK.encode()]
        assert [start.offset for start in chosen] == [1 + handled[-1] - 9 + 1, 0]
        assert [start.loss for start in chosen] == ["", ""]
        await adopt(after.engine, chosen)
        await after.work()
        assert await after.known() == undisturbed


async def test_a_log_that_lost_its_end_says_so(
    kafka_address: str, broker_name: str, database_url: str, records: Records, tmp_path: Path
) -> None:
    async with deployment(kafka_address, database_url, "log-1") as before:
        await before.send(records)
        await before.work()
    async with (
        another_log(kafka_address, broker_name, tmp_path) as address,
        deployment(address, database_url, "log-1") as after,
    ):
        await after.send(records[:-20])
        found = await after.found()
        ends = f"ends at offset {len(records) - 19}, and {len(records) + 1} comes next"
        assert ends in (found.misfit() or "")
        (start, _) = await after.starts()
        assert start.loss == "what came last and is not in this log: nobody can know"
        assert start.offset < found.end


@pytest.mark.parametrize("lost", [-5, 7])
async def test_a_log_that_lost_its_beginning_is_adopted(
    lost: int,
    apache_kafka_address: str,
    database_url: str,
    records: Records,
    undisturbed: dict[str, list[tuple[Any, ...]]],
) -> None:
    """Nothing of it matters that was handled; what was not is counted, and said."""
    await remove_topics(apache_kafka_address)
    cut = len(records) * 2 // 3
    async with deployment(apache_kafka_address, database_url, "log-1") as deployed:
        await deployed.send(records[:cut])
        await deployed.work()
        await deployed.send(records[cut:])
        offset = await deployed.next()
        await delete_before(apache_kafka_address, offset + lost)
        with pytest.raises(UserError, match="lost its first records, and with them the log's"):
            await deployed.work()
        (start, _) = await deployed.starts()
        assert start.offset <= max(offset, offset + lost)
        assert start.loss == (
            f"7 records, from offset {offset} to {offset + 6}" if lost > 0 else ""
        )
        await adopt(deployed.engine, [start])
        await check_log(deployed.settings, deployed.engine, "scoring")
        assert (await deployed.found()).misfit() is None
        await deployed.work()
        assert (await deployed.next()) == len(records) + 1
        if lost < 0:
            assert await deployed.known() == undisturbed


async def delete_before(address: str, offset: int) -> None:
    """What retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.delete_records({TopicPartition(USAGE_ACCEPTED, 0): RecordsToDelete(offset)})
    await admin.close()


async def test_health_changes_alone_may_be_lost(
    apache_kafka_address: str,
    database_url: str,
    records: Records,
    undisturbed: dict[str, list[tuple[Any, ...]]],
) -> None:
    await remove_topics(apache_kafka_address)
    cut = len(records) * 2 // 3
    async with deployment(apache_kafka_address, database_url, "log-1") as deployed:
        await deployed.send(records[:cut])
        await deployed.work()
        await remove_topics(apache_kafka_address, [HEALTH_CHANGES])
        made = {"partitions": 1, "log_id": "log-2", "source_partitions": 1}
        assert await topics.create_log(deployed.settings, **made) == "log-1"  # type: ignore[arg-type]
        await deployed.send(records[cut:])
        with pytest.raises(UserError, match=r"health\.changes is another log \(log-2\)"):
            await check_log(deployed.settings, deployed.engine, "alerts")
        await adopt(deployed.engine, await deployed.starts())
        await deployed.work()
        assert await deployed.known() == undisturbed


async def test_whoever_owned_a_partition_commits_no_more_and_what_has_moved_is_left(
    tansu_address: str, database_url: str, records: Records
) -> None:
    async with deployment(tansu_address, database_url, "log-1") as deployed:
        await deployed.send(records[:30])
        await deployed.work()
        chosen = await deployed.starts()
        await adopt(deployed.engine, chosen)
        with pytest.raises(UserError, match="has moved meanwhile"):
            await adopt(deployed.engine, chosen)
        epochs = await deployed.rows("scoring.partition", "epoch, owner, relayed_log_id")
        assert epochs == [(2, "myaku log adopt", "")]


async def test_partitions_that_were_added_are_said_at_start_and_while_it_runs(
    apache_kafka_address: str, database_url: str
) -> None:
    await remove_topics(apache_kafka_address)
    async with deployment(apache_kafka_address, database_url, "log-1") as deployed:
        publisher = Publisher(deployed.producer, 1, 1)
        await publisher.check_partitions()
        admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka_address)
        await admin.start()
        await admin.create_partitions({USAGE_ACCEPTED: NewPartitions(total_count=3)})
        await admin.close()

        async def known() -> bool:
            await deployed.producer.client.force_metadata_update()
            return len(await deployed.producer.partitions_for(USAGE_ACCEPTED)) == 3

        await until(known)
        said = r"has 3 partitions, and was made with 1: .* docs/operations\.md"
        with pytest.raises(UserError, match=said):
            await publisher.check_partitions()
        with pytest.raises(UserError, match=said):
            await check_log(deployed.settings, deployed.engine, "scoring")
        with pytest.raises(UserError, match="cannot be adopted"):
            await deployed.starts()


async def test_a_log_of_another_number_of_partitions_is_none_to_adopt(
    kafka_address: str, broker_name: str, database_url: str, records: Records, tmp_path: Path
) -> None:
    async with deployment(kafka_address, database_url, "log-1") as before:
        await before.send(records[:30])
        await before.work()
    async with another_log(kafka_address, broker_name, tmp_path) as address:
        settings = settings_for(address, database_url)
        await topics.create_log(settings, partitions=2, log_id="log-2", source_partitions=1)
        async with deployment(address, database_url, None) as after:
            with pytest.raises(UserError, match=r"has 2 partitions, .* from 1\. docs/operations"):
                await after.starts()


async def test_a_database_that_knows_no_log_takes_the_one_that_it_finds(
    tansu_address: str, database_url: str
) -> None:
    async with deployment(tansu_address, database_url, "log-1") as deployed:
        said = await deployed.say("log", "adopt")
        assert said.output.startswith("The database knows no log yet"), said
        shown = await deployed.say("log", "show")
        assert shown.output.endswith("The log and the database fit.\n"), shown
        assert (await deployed.found()).marker == Marker("log-1", 1)
