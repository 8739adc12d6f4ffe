"""The pipeline on a real broker and database: fence, relay, and a log that is another."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.scoring import pipeline, relay
from services.scoring.pipeline import Scoring, groups
from services.scoring.store import save
from shared import database, kafka, topics
from shared.corrupt import CorruptBatch
from shared.database import transaction
from shared.events import (
    CONFIG,
    ENGAGEMENT_CHANGES,
    HEALTH_CHANGES,
    LOG,
    TICK,
    Marker,
    decode_health,
)
from shared.log_identity import begin_anew
from shared.offsets import Fenced
from shared.runtime import UserError
from shared.settings import Settings
from shared.topics import CUT
from tests.conftest import settings_for
from tests.scoring.random_log import DAY_MS, START_MS, config, document, event, tick

MARKER = Marker("log-1", 1)
FIRST = [
    config(document()),
    tick(START_MS),
    event("1", START_MS, account_id="b", user_id="u", properties={"feature": "x"}),
    event("2", START_MS, account_id="a"),
    tick(START_MS + DAY_MS),
]


def log_of(records: list[tuple[bytes, bytes]], start: int = 0) -> list[ConsumerRecord]:
    """Records as a consumer gives them."""
    place = {"topic": "usage.accepted", "partition": 0, "timestamp": 0, "timestamp_type": 0}
    rest = {"checksum": None, "serialized_key_size": 0, "serialized_value_size": 0, "headers": ()}
    return [
        ConsumerRecord(offset=start + at, key=key, value=value, **place, **rest)
        for at, (key, value) in enumerate(records)
    ]


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = database.create(database_url)
    yield made
    await made.dispose()


@asynccontextmanager
async def producing(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer, on a log of one partition."""
    await topics.create_log(settings, partitions=1, log_id="log-1", source_partitions=1)
    producer = kafka.producer(settings)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@pytest_asyncio.fixture
async def settings(kafka_address: str, database_url: str) -> Settings:
    return settings_for(kafka_address, database_url)


@pytest_asyncio.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    async with producing(settings) as started:
        yield started


def scoring(engine: AsyncEngine, producer: AIOKafkaProducer, owner: str = "one") -> Scoring:
    return Scoring(engine, producer, owner=owner, moved_by="events", now_ms=lambda: START_MS)


async def sent(settings: Settings, topic: str = HEALTH_CHANGES) -> list[tuple[bytes, bytes]]:
    """All of a topic but its marker."""
    consumer = kafka.reader(settings)
    await consumer.start()
    place = TopicPartition(topic, 0)
    consumer.assign([place])
    consumer.seek(place, 0)
    found: list[ConsumerRecord] = []
    while not found or found[-1].offset + 1 < consumer.highwater(place):
        found += (await consumer.getmany(place, timeout_ms=100)).get(place, [])
    await consumer.stop()
    return [(record.key, record.value) for record in found if record.key != LOG.encode()]


def names(records: list[tuple[bytes, bytes]]) -> list[str]:
    """`account:sequence`, or the kind of a control record."""
    return [
        key.decode() + ("" if key.startswith(b"myaku.") else f":{decode_health(value).sequence}")
        for key, value in records
    ]


async def rows(engine: AsyncEngine, table: str) -> list[tuple[object, ...]]:
    async with engine.connect() as connection:
        found = await connection.execute(text(f"SELECT * FROM scoring.{table} ORDER BY 1, 2, 3"))
        return [tuple(row) for row in found]


async def everything(engine: AsyncEngine) -> dict[str, list[tuple[object, ...]]]:
    """All that scoring keeps."""
    tables = ("partition", "account", "fact", "day_sum", "day_set", "active_day", "account_user",
              "seen", "health", "history", "success", "account_signal", "signal_record", "outbox",
              "held", "quarantine", "configuration", "signal")  # fmt: skip
    return {table: await rows(engine, table) for table in tables}


async def test_what_is_committed_is_sent_in_order_and_then_forgotten(
    engine: AsyncEngine, settings: Settings, producer: AIOKafkaProducer
) -> None:
    room = scoring(engine, producer)
    assert await room.load(0, MARKER) == 0
    await room.handle(0, log_of(FIRST))
    expected = [CONFIG, TICK, "a:1", "b:1", TICK]
    assert names(await sent(settings)) == expected
    assert len(await rows(engine, "outbox")) == 1
    await room.handle(0, log_of([tick(START_MS + DAY_MS + 1)], 5))
    assert names(await sent(settings)) == [*expected, TICK]
    assert [number for _, number, _ in await rows(engine, "outbox")] != [0]


async def test_a_crash_between_commit_and_sending_sends_again_at_the_next_load(
    engine: AsyncEngine,
    settings: Settings,
    producer: AIOKafkaProducer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = scoring(engine, producer)
    await room.load(0, MARKER)

    async def crash(*_: object) -> None:
        raise OSError("the broker is gone")

    with monkeypatch.context() as patch:
        patch.setattr(relay, "send", crash)
        with pytest.raises(OSError, match="broker"):
            await room.handle(0, log_of(FIRST))
    assert names(await sent(settings)) == []
    successor = scoring(engine, producer, "two")
    assert await successor.load(0, MARKER) == len(FIRST)
    first = [CONFIG, TICK, "a:1", "b:1", TICK]
    assert names(await sent(settings))[: len(first)] == first
    await successor.handle(0, log_of([tick(START_MS + DAY_MS + 1)], 5))
    assert len(await rows(engine, "outbox")) == 1


async def test_a_zombie_changes_nothing_and_sends_nothing(
    engine: AsyncEngine, settings: Settings, producer: AIOKafkaProducer
) -> None:
    zombie, owner = scoring(engine, producer, "zombie"), scoring(engine, producer, "owner")
    await zombie.load(0, MARKER)
    assert await owner.load(0, MARKER) == 0
    before, before_sent = await everything(engine), await sent(settings)
    with pytest.raises(Fenced):
        await zombie.handle(0, log_of(FIRST))
    assert await everything(engine) == before
    assert await sent(settings) == before_sent
    await owner.handle(0, log_of(FIRST))


async def test_a_failed_commit_leaves_nothing_and_is_repeated_from_the_database(
    engine: AsyncEngine,
    settings: Settings,
    producer: AIOKafkaProducer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = scoring(engine, producer)
    await room.load(0, MARKER)
    before = await everything(engine)

    async def lose(*arguments: object) -> None:
        await save(*arguments)  # type: ignore[arg-type]
        raise ConnectionError("lost before COMMIT")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "save", lose)
        with pytest.raises(ConnectionError):
            await room.handle(0, log_of(FIRST))
    assert await everything(engine) == before
    room.drop(0)
    assert await room.load(0, MARKER) == 0
    await room.handle(0, log_of(FIRST))
    assert len(await rows(engine, "account")) == 2


async def test_a_commit_of_unknown_outcome_is_settled_by_loading(
    engine: AsyncEngine, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = scoring(engine, producer)
    await room.load(0, MARKER)

    @asynccontextmanager
    async def deaf(one: AsyncEngine) -> AsyncIterator[object]:
        async with transaction(one) as connection:
            yield connection
        raise ConnectionError("the answer to COMMIT was lost")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "transaction", deaf)
        with pytest.raises(ConnectionError):
            await room.handle(0, log_of(FIRST))
    room.drop(0)
    assert await room.load(0, MARKER) == len(FIRST)
    assert len(await rows(engine, "account")) == 2


async def test_a_new_log_starts_with_every_newest_record_and_drops_what_is_known(
    engine: AsyncEngine, settings: Settings, producer: AIOKafkaProducer
) -> None:
    room = scoring(engine, producer)
    await room.load(0, MARKER)
    await room.handle(0, log_of(FIRST))
    history = await rows(engine, "history")
    already = len(await sent(settings))
    await begin_anew(engine, "log-2")
    successor = scoring(engine, producer)
    assert await successor.load(0, Marker("log-2", 1)) == 0
    await successor.handle(0, log_of(FIRST))
    again = names(await sent(settings))[already:]
    outbox = [CONFIG, TICK, "a:1", "b:1", TICK]
    assert again == [*outbox, CONFIG, "a:1", "b:1", CONFIG]
    assert await rows(engine, "history") == history
    third = scoring(engine, producer)
    assert await third.load(0, Marker("log-2", 1)) == len(FIRST)
    assert names(await sent(settings))[already + len(again) :] == [CONFIG]


async def test_ranks_are_told_and_told_again_in_a_new_log(
    engine: AsyncEngine, settings: Settings, producer: AIOKafkaProducer
) -> None:
    used = [event(f"{user}-{at}", START_MS + at, user_id=user) for user in "ab" for at in (0, 1)]
    records = [*FIRST[:2], *used, tick(START_MS + DAY_MS)]
    room = scoring(engine, producer)
    await room.load(0, MARKER)
    await room.handle(0, log_of(records))
    told = await sent(settings, ENGAGEMENT_CHANGES)
    changes = [json.loads(value) for _, value in told]
    assert [(change["user_id"], change["rank"]) for change in changes] == [("a", "B"), ("b", "B")]
    assert [key for key, _ in told] == [b"acme", b"acme"]
    assert len(await rows(engine, "outbox")) == 1
    await begin_anew(engine, "log-2")
    successor = scoring(engine, producer)
    await successor.load(0, Marker("log-2", 1))
    again = await sent(settings, ENGAGEMENT_CHANGES)
    assert again == [*told, *told, *told], "the outbox that was left, then the newest of each"


async def test_a_new_log_gets_the_signals_of_the_last_days_again_under_their_old_sequences(
    engine: AsyncEngine, settings: Settings, producer: AIOKafkaProducer
) -> None:
    room = scoring(engine, producer)
    await room.load(0, MARKER)
    answer = {"survey": "nps", "score": 2}
    told = [
        event(f"s{day}", START_MS + day * DAY_MS, type="survey.answered", properties=answer)
        for day in (0, 8)
    ]
    days = [tick(START_MS + day * DAY_MS) for day in (1, 9, 10)]
    named = event("n", START_MS + 9 * DAY_MS, type="account.updated", properties={"name": "A"})
    records = [*FIRST[:2], told[0], days[0], told[1], days[1], named, days[2]]
    await room.handle(0, log_of(records))
    first = [
        decode_health(value) for key, value in await sent(settings) if not key.startswith(b"myaku")
    ]
    (recent,) = [each for each in first if each.signals and each.as_of[:10] != first[0].as_of[:10]]
    assert recent.sequence < first[-1].sequence
    already = len(await sent(settings))
    await begin_anew(engine, "log-2")
    await scoring(engine, producer).load(0, Marker("log-2", 1))
    again = (await sent(settings))[already:]
    assert [decode_health(value) for _, value in again[-2:]] == [recent, first[-1]]
    assert names(again)[-2:] == [f"acme:{recent.sequence}", f"acme:{first[-1].sequence}"]


async def test_another_number_of_partitions_than_the_database_knows_is_refused(
    engine: AsyncEngine, producer: AIOKafkaProducer
) -> None:
    await scoring(engine, producer).load(0, Marker("log-1", 1))
    with pytest.raises(UserError, match=r"log has 4 partitions.*made from 1"):
        await scoring(engine, producer).load(2, Marker("log-2", 4))


async def test_another_log_than_the_database_knows_is_refused(
    engine: AsyncEngine, producer: AIOKafkaProducer
) -> None:
    await scoring(engine, producer).load(0, MARKER)
    with pytest.raises(UserError, match=r"another log \(log-2\).*\(log-1\).*myaku log adopt"):
        await scoring(engine, producer).load(0, Marker("log-2", 1))
    with pytest.raises(UserError, match="lost its first records"):
        await scoring(engine, producer).load(0, Marker(CUT, 1))
    ((_, log_id, epoch, *_),) = await rows(engine, "partition")
    assert (log_id, epoch) == ("log-1", 1)


async def test_a_log_without_a_marker_is_refused(
    engine: AsyncEngine, producer: AIOKafkaProducer
) -> None:
    with pytest.raises(UserError, match="no log marker"):
        await scoring(engine, producer).load(0, None)


async def test_live_never_returns_to_history(
    engine: AsyncEngine, producer: AIOKafkaProducer
) -> None:
    room = scoring(engine, producer)
    await room.load(0, MARKER)
    await room.handle(0, log_of([config(document()), tick(START_MS, "live")]))
    with pytest.raises(UserError, match="never returns to history"):
        await scoring(engine, producer).load(0, MARKER)


def test_a_commit_takes_all_that_waits_up_to_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "COMMIT_EVENTS_MAX", 10)
    monkeypatch.setattr(pipeline, "COMMIT_TICKS_MAX", 2)
    events = log_of([event(str(at), START_MS) for at in range(25)])
    ticks = log_of([tick(START_MS + at) for at in range(5)])
    assert [len(group) for group in groups(events[:4])] == [4]
    assert [len(group) for group in groups(events)] == [10, 10, 5]
    assert [len(group) for group in groups(ticks)] == [2, 2, 1]
    assert [record for group in groups(events + ticks) for record in group] == events + ticks


async def test_state_that_still_stands_is_kept_and_what_others_moved_is_loaded(
    engine: AsyncEngine, producer: AIOKafkaProducer
) -> None:
    one, two = scoring(engine, producer), scoring(engine, producer, "two")
    await one.load(0, MARKER)
    await one.handle(0, log_of(FIRST))
    held = one.partitions[0]
    assert await one.load(0, MARKER) == len(FIRST)
    assert one.partitions[0] is held
    await two.load(0, MARKER)
    assert await one.load(0, MARKER) == len(FIRST)
    assert one.partitions[0] is not held
    assert one.partitions[0].claim.epoch == held.claim.epoch + 2
    await begin_anew(engine, "log-2")
    assert await one.load(0, Marker("log-2", 1)) == 0


async def test_a_batch_that_cannot_be_read_is_put_aside_among_records(
    engine: AsyncEngine, producer: AIOKafkaProducer
) -> None:
    worker = scoring(engine, producer)
    await worker.load(0, MARKER)
    before, after = log_of(FIRST), log_of([event("3", START_MS, account_id="c")], 20)
    corrupt = [CorruptBatch(len(FIRST), 18, "Invalid CRC"), CorruptBatch(19, 19, "Invalid CRC")]
    await worker.handle(0, [*before, *corrupt, *after])
    await worker.handle(0, [CorruptBatch(21, 30, "Unknown codec")])
    assert [(row[2], row[3]) for row in await rows(engine, "quarantine")] == [
        (18, "The batch with offsets 5 to 18 cannot be read: Invalid CRC."),
        (19, "The batch with offsets 19 to 19 cannot be read: Invalid CRC."),
        (30, "The batch with offsets 21 to 30 cannot be read: Unknown codec."),
    ]
    assert worker.partitions[0].state.accounts.ids == ["b", "a", "c"]
    assert await worker.load(0, MARKER) == 31
