"""The consumer loop on real brokers: every record once, in order, whatever fails."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database, kafka, stuck, topics
from shared.database import transaction
from shared.events import USAGE_ACCEPTED
from shared.loop import Loop
from shared.offsets import claim
from shared.operations import Readiness
from shared.runtime import Running, UserError
from shared.settings import Settings
from shared.stuck import Stuck
from tests.conftest import remove_topics, settings_for
from tests.processes import eventually
from tests.shared.rooms import Ledger, looping

PARTITIONS = 3


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = database.create(database_url)
    yield made
    await made.dispose()


@pytest_asyncio.fixture
async def settings(kafka_address: str, database_url: str) -> Settings:
    made = settings_for(kafka_address, database_url)
    await topics.create_log(made, partitions=PARTITIONS, log_id="log-1", source_partitions=1)
    return made


async def send(settings: Settings, count: int, partitions: int = PARTITIONS) -> None:
    """Send records to the partitions in turn."""
    producer = kafka.producer(settings)
    await producer.start()
    for number in range(count):
        await producer.send_and_wait(
            USAGE_ACCEPTED, str(number).encode(), partition=number % partitions
        )
    await producer.stop()


def whole(room: Ledger, count: int) -> Callable[[], bool]:
    return lambda: room.count >= count + PARTITIONS


def failed(outcome: str) -> float:
    return REGISTRY.get_sample_value("myaku_failed_batches_total", {"outcome": outcome}) or 0


def lag(partition: int) -> float | None:
    return REGISTRY.get_sample_value("myaku_lag_records", {"partition": str(partition)})


async def test_every_record_comes_once_and_in_order(
    settings: Settings, engine: AsyncEngine
) -> None:
    await send(settings, 30)
    room = Ledger(engine)
    async with looping(settings, room) as running:
        await eventually(whole(room, 30))
        await send(settings, 6)
        await eventually(whole(room, 36))
        await eventually(lambda: not running.readiness.waiting)
    assert room.committed == {number: list(range(13)) for number in range(PARTITIONS)}


async def test_the_lag_of_every_partition_is_known_and_becomes_0(
    settings: Settings, engine: AsyncEngine
) -> None:
    room = Ledger(engine)
    await send(settings, 5, partitions=1)
    async with looping(settings, room):
        await eventually(lambda: [lag(number) for number in range(PARTITIONS)] == [0, 0, 0])
        assert room.count == 5 + PARTITIONS
    assert [lag(number) for number in range(PARTITIONS)] == [None] * PARTITIONS


async def test_a_second_run_goes_on_where_the_database_stands(
    settings: Settings, engine: AsyncEngine
) -> None:
    await send(settings, 9)
    first, second = Ledger(engine), Ledger(engine)
    async with looping(settings, first):
        await eventually(whole(first, 9))
    await send(settings, 9)
    async with looping(settings.model_copy(update={"group": "another"}), second):
        await eventually(lambda: second.count == 9)
    assert second.committed == {number: [4, 5, 6] for number in range(PARTITIONS)}


async def test_what_fails_is_loaded_again_and_handled_once(
    settings: Settings, engine: AsyncEngine
) -> None:
    await send(settings, 9)
    room = Ledger(engine)
    room.faults = [TimeoutError("the database is slow"), OSError("and gone")]
    async with looping(settings, room):
        await eventually(whole(room, 9))
    assert room.committed == {number: [0, 1, 2, 3] for number in range(PARTITIONS)}
    assert len(room.loads) == PARTITIONS + 2


async def test_whether_a_commit_without_an_answer_was_saved_is_asked_of_the_fence(
    settings: Settings, engine: AsyncEngine
) -> None:
    before = failed("saved"), failed("not saved")
    room = Ledger(engine)
    room.lost_answers = 2
    async with looping(settings, room):
        await eventually(whole(room, 0))
        room.faults = [TimeoutError("the database is slow")]
        await send(settings, 9)
        await eventually(whole(room, 9))
    assert room.committed == {number: [0, 1, 2, 3] for number in range(PARTITIONS)}
    assert (failed("saved") - before[0], failed("not saved") - before[1]) == (2, 1)


async def test_a_partition_taken_by_another_worker_is_dropped_and_then_claimed_again(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.loop.FENCED_SECONDS", 0.3)
    room = Ledger(engine)
    async with looping(settings, room):
        await eventually(whole(room, 0))
        async with transaction(engine) as connection:
            await claim(connection, "scoring", 0, "log-1", "another")
        await send(settings, 3)
        await eventually(whole(room, 3))
    assert room.loads.count(0) == 2
    assert room.committed[0] == [0, 1]


async def test_a_fault_of_the_program_ends_the_loop(
    settings: Settings, engine: AsyncEngine
) -> None:
    room = Ledger(engine)
    room.faults = [ZeroDivisionError("a fault")]
    with pytest.raises(ZeroDivisionError):
        await run(settings, room)


async def run(settings: Settings, room: Ledger) -> None:
    """Run the loop until it ends by itself."""
    loop = Loop(settings, USAGE_ACCEPTED, room, Running(Readiness()))
    await asyncio.wait_for(loop.run(settings.group), 30)


async def test_two_workers_share_the_partitions_and_lose_and_repeat_nothing(
    settings: Settings, engine: AsyncEngine
) -> None:
    one, two = Ledger(engine, "one"), Ledger(engine, "two")
    await send(settings, 9)
    async with looping(settings, one):
        await eventually(whole(one, 9))
        async with looping(settings, two):
            await eventually(lambda: bool(two.claims and one.claims), 40)
            await eventually(lambda: set(one.claims) | set(two.claims) == {0, 1, 2}, 40)
            await send(settings, 30)
            await eventually(lambda: one.count + two.count >= 39 + PARTITIONS, 40)
        await send(settings, 3)
        await eventually(lambda: one.count + two.count >= 42 + PARTITIONS, 40)
    for number in range(PARTITIONS):
        offsets = one.committed.get(number, []) + two.committed.get(number, [])
        assert sorted(offsets) == list(range(15))


async def test_a_rebalance_drops_only_what_others_have_now(
    settings: Settings, engine: AsyncEngine
) -> None:
    one, two = Ledger(engine, "one"), Ledger(engine, "two")
    async with looping(settings, one):
        await eventually(whole(one, 0))
        async with looping(settings, two):
            await eventually(lambda: bool(two.loads), 40)
            await eventually(lambda: len(one.loads) == PARTITIONS + 3 - len(set(two.loads)), 40)
            assert sorted(one.dropped) == sorted(set(two.loads))
    assert sorted(set(one.dropped)) == [0, 1, 2]


@pytest.mark.parametrize("loads_in_time", [True, False])
async def test_a_partition_revoked_while_it_loads_is_not_read_by_the_stale_lane(
    settings: Settings,
    engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
    loads_in_time: bool,
) -> None:
    monkeypatch.setattr("shared.loop.FINISH_SECONDS", 10 if loads_in_time else 0.1)
    await send(settings, 3)
    room = Ledger(engine)
    room.gate.clear()
    loop = Loop(settings, USAGE_ACCEPTED, room, running := Running(Readiness()))
    task = asyncio.create_task(loop.run(settings.group))
    await eventually(lambda: len(loop.lanes) == PARTITIONS)
    lanes, places = list(loop.lanes.values()), list(loop.lanes)
    revoking = asyncio.create_task(loop.on_partitions_revoked(places))
    await eventually(lambda: all(lane.closed for lane in lanes))
    if loads_in_time:
        room.gate.set()
    await revoking
    loop.on_partitions_assigned(places)
    room.gate.set()
    await eventually(whole(room, 3))
    assert not any(lane.open for lane in lanes)
    assert room.committed == {number: [0, 1] for number in range(PARTITIONS)}
    running.stop.set()
    await task


class Dawdler(ConsumerRebalanceListener):  # type: ignore[misc]
    """A member of the group that does not let go of its partitions."""

    def __init__(self) -> None:
        self.has_some = asyncio.Event()
        self.lets_go = asyncio.Event()

    async def on_partitions_assigned(self, assigned: object) -> None:
        self.has_some.set()

    async def on_partitions_revoked(self, revoked: object) -> None:
        if self.has_some.is_set():
            await self.lets_go.wait()


async def test_a_rebalance_that_does_not_end_is_stuck_although_no_poll_returns(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stuck, "STUCK_SECONDS", 2.0)
    options = kafka.group_options(settings, settings.group) | {"rebalance_timeout_ms": 60_000}
    other, dawdler = AIOKafkaConsumer(**options), Dawdler()
    await other.start()
    other.subscribe([USAGE_ACCEPTED], listener=dawdler)
    room = Ledger(engine)
    try:
        await asyncio.wait_for(dawdler.has_some.wait(), 20)
        loop = Loop(settings, USAGE_ACCEPTED, room, Running(Readiness()))
        # Once it is known: what the group gives then is not taken any more.
        monkeypatch.setattr(loop, "_forget", lambda but: dawdler.lets_go.set())
        async with asyncio.timeout(40):
            with pytest.raises(Stuck, match="start again"):
                await loop.run(settings.group)
        assert not room.loads
    finally:
        dawdler.lets_go.set()
        await other.stop()


async def test_no_topic_is_said_in_a_sentence(
    kafka_address: str, database_url: str, engine: AsyncEngine
) -> None:
    with pytest.raises(UserError, match=r"There is no topic usage\.accepted"):
        await run(settings_for(kafka_address, database_url), Ledger(engine))


async def test_a_topic_without_a_marker_is_refused(
    kafka_address: str, database_url: str, engine: AsyncEngine
) -> None:
    settings = settings_for(kafka_address, database_url)
    await topics._create_topics(settings, {USAGE_ACCEPTED: (PARTITIONS, {})})
    await send(settings, 3)
    with pytest.raises(UserError, match="does not begin with a log marker"):
        await run(settings, Ledger(engine))


async def test_another_number_of_partitions_than_at_first_is_refused(
    apache_kafka_address: str, database_url: str, engine: AsyncEngine
) -> None:
    await remove_topics(apache_kafka_address)
    settings = settings_for(apache_kafka_address, database_url)
    await topics.create_log(settings, partitions=2, log_id="log-1", source_partitions=1)
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka_address)
    await admin.start()
    await admin.create_partitions({USAGE_ACCEPTED: NewPartitions(total_count=4)})
    await admin.close()
    with pytest.raises(UserError, match="different numbers of partitions"):
        await topics.create_log(settings, partitions=2, log_id="log-1", source_partitions=1)
    with pytest.raises(UserError, match="accounts would move"):
        await run(settings, Ledger(engine))


async def test_a_log_that_was_cut_is_said_in_a_sentence(
    apache_kafka_address: str, database_url: str, engine: AsyncEngine
) -> None:
    await remove_topics(apache_kafka_address)
    settings = settings_for(apache_kafka_address, database_url)
    await topics.create_log(settings, partitions=1, log_id="log-1", source_partitions=1)
    async with transaction(engine) as connection:
        await claim(connection, "scoring", 0, "log-1", "me")
        await connection.execute(text("UPDATE scoring.partition SET next = 1000"))
    with pytest.raises(UserError, match="no longer has the records"):
        await run(settings, Ledger(engine))
