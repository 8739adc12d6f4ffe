"""A person is erased: what ingest knows of the user goes, and does not come back."""

import json
from collections.abc import Sequence

import pytest
from aiokafka import ConsumerRecord
from sqlalchemy import text

from shared import database, kafka
from shared.database import snapshot
from shared.events import USAGE_EVENTS, Erasure, Tick
from shared.settings import Settings
from shared.times import iso_time
from tests.conftest import settings_for
from tests.ingest.running import NOW_MS, Log, committed, event, ids, ingesting, log

HOUR_MS = 3_600_000
BEFORE = iso_time(NOW_MS - 2 * HOUR_MS)
ERASED = iso_time(NOW_MS - HOUR_MS)
LATER = iso_time(NOW_MS - HOUR_MS // 2)
ERASURE = Erasure("u", ERASED)


def joined(name: str, time: str, user: str = "u", account: str = "a") -> bytes:
    return event(id=name, account_id=account, user_id=user, type="user.joined", time=time)


def orphan(name: str, time: str, user: str = "u") -> bytes:
    return event(id=name, account_id=None, user_id=user, time=time)


def users(records: Sequence[ConsumerRecord]) -> dict[str, str | None]:
    """Whom each event names, by its id."""
    bodies = [json.loads(record.value) for record in records]
    return {body["id"]: body.get("user_id") for body in bodies if "id" in body}


async def kept(settings: Settings) -> dict[str, list[str]]:
    """Whom the tables name, and how many are erased."""
    engine = database.create(settings.database_url.get_secret_value())
    async with snapshot(engine) as connection:
        found = {
            table: [row[0] for row in await connection.execute(text(sql))]
            for table, sql in (
                ("membership", "SELECT user_id FROM ingest.membership ORDER BY 1"),
                ("parked", "SELECT event_id FROM ingest.parked ORDER BY 1"),
                ("erased", "SELECT time FROM ingest.erased ORDER BY 1"),
            )
        }
    await engine.dispose()
    return found


async def through(settings: Settings, broker: Log) -> None:
    """Let ingest take in all that was sent."""
    partitions = await kafka.partitions_of(broker.producer, USAGE_EVENTS)
    sent = [await broker.read(USAGE_EVENTS, number) for number in range(partitions)]
    async with ingesting(settings) as ingest:
        await committed(ingest, [len(records) for records in sent])


async def write(broker: Log, *records: bytes | Erasure, partition: int = 0) -> None:
    for record in records:
        if isinstance(record, bytes):
            await broker.send(record, partition=partition)
        else:
            await broker.send_signed(record, partition)


@pytest.mark.parametrize("apart", [False, True], ids=["in one batch", "one after the other"])
async def test_memberships_of_before_go_and_do_not_come_back(
    kafka_address: str, database_url: str, apart: bool
) -> None:
    settings = settings_for(kafka_address, database_url, clock="events")
    records: list[bytes | Erasure] = [
        joined("j1", BEFORE),
        joined("other", BEFORE, user="v"),
        ERASURE,
        orphan("e1", BEFORE),
        joined("late", BEFORE),
        orphan("e2", BEFORE),
        event(id="named", account_id="a", user_id="u", time=BEFORE),
        event(id="of v", account_id="a", user_id="v", time=BEFORE),
        event(id="later", account_id="a", user_id="u", time=LATER),
    ]
    async with log(settings) as broker:
        for group in [[one] for one in records] if apart else [records]:
            await write(broker, *group)
            await through(settings, broker)
        everywhere = [await broker.accepted(number) for number in range(broker.partitions)]
        for records_there in everywhere:
            erasures = [one for one in records_there if one.key == b"myaku.user.erased"]
            assert [json.loads(one.value) for one in erasures] == [
                {"type": "user.erased", "user_id": "u", "time": ERASED}
            ]
        assert users(await broker.all_accepted()) == {
            "j1": "u", "other": "v", "late": None, "named": None, "of v": "v", "later": "u",
        }  # fmt: skip
        rejected = await broker.rejected()
        assert [json.loads(one.value)["id"] for one in rejected] == ["e1", "e2"]
        assert await kept(settings) == {"membership": ["v"], "parked": [], "erased": [ERASED]}


async def test_who_comes_again_is_somebody_new(kafka_address: str, database_url: str) -> None:
    settings = settings_for(kafka_address, database_url, clock="events")
    async with log(settings) as broker:
        await write(broker, joined("j1", BEFORE), ERASURE, joined("j2", LATER, account="b"),
                    orphan("e", LATER))  # fmt: skip
        await through(settings, broker)
        events = [json.loads(one.value) for one in await broker.all_accepted()]
        assert {one["id"]: one["account_id"] for one in events if "id" in one} == {
            "j1": "a", "j2": "b", "e": "b",
        }  # fmt: skip
        assert (await kept(settings))["membership"] == ["u"]


async def test_what_waits_for_the_user_goes_in_every_source_partition(
    kafka_address: str, database_url: str
) -> None:
    settings = settings_for(kafka_address, database_url, clock="events")
    erased_now = Erasure("u", iso_time(NOW_MS))
    async with log(settings, sources=2) as broker:
        await write(broker, orphan("e1", BEFORE), orphan("v1", BEFORE, user="v"))
        await write(broker, orphan("e2", BEFORE), partition=1)
        await through(settings, broker)
        assert (await kept(settings))["parked"] == ["e1", "e2", "v1"]
        await write(broker, erased_now, joined("late", BEFORE))
        await through(settings, broker)
        assert (await kept(settings))["parked"] == ["v1"]
        assert "e1" not in ids(await broker.all_accepted())


@pytest.mark.parametrize("partition", [0, 1], ids=["where it joins", "at the next tick"])
async def test_what_waited_of_before_is_nobody_s_who_came_later(
    kafka_address: str, database_url: str, partition: int
) -> None:
    """It came after the erasure was asked for, and before its record."""
    settings = settings_for(kafka_address, database_url, clock="events")
    async with log(settings, sources=2) as broker:
        await write(broker, orphan("e", BEFORE), partition=partition)
        await through(settings, broker)
        await write(broker, ERASURE, joined("j", LATER))
        await through(settings, broker)
        await broker.send_signed(Tick(1, 2, iso_time(NOW_MS), "history"), 1)
        await through(settings, broker)
        assert users(await broker.all_accepted()) == {"j": "u"}
        (refused,) = await broker.rejected()
        assert dict(refused.headers)["reason"] == b"unknown_account"


async def test_only_a_signed_erasure_is_one(kafka_address: str, database_url: str) -> None:
    settings = settings_for(kafka_address, database_url, clock="events")
    async with log(settings) as broker:
        await write(broker, joined("j1", BEFORE))
        forged = json.dumps({"type": "user.erased", "user_id": "u", "time": ERASED}).encode()
        await broker.send(forged, key=b"myaku.user.erased")
        await through(settings, broker)
        assert (await kept(settings))["membership"] == ["u"]
        assert len(await broker.rejected()) == 1
