"""What people do to accounts: over HTTP and by command, into the log, and what comes of it."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2
import pytest_asyncio
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from sqlalchemy.ext.asyncio import AsyncEngine

from services.scoring.acts import Acts
from services.scoring.api import create_app
from services.scoring.pipeline import Scoring
from shared import database, kafka, topics
from shared.access import Keyring
from shared.events import (
    LOG,
    SIGNATURE_HEADER,
    USAGE_ACCEPTED,
    USAGE_EVENTS,
    Marker,
    is_signed,
)
from shared.kafka import partition_of
from shared.settings import Settings
from shared.times import iso_time
from tests import callers
from tests.admin.commands import myaku
from tests.conftest import SECRET_KEY, settings_for
from tests.scoring.random_log import DAY_MS, START_MS, config, document, event, tick

PARTITIONS = 2
NOW_MS = START_MS + 900 * DAY_MS
ODD = "a/b?c=d#e"


@dataclass
class Deployment:
    """Scoring on a log, and its API."""

    settings: Settings
    engine: AsyncEngine
    producer: AIOKafkaProducer
    room: Scoring
    client: httpx2.AsyncClient

    async def write(self, *records: tuple[bytes, bytes]) -> None:
        """Into the account's partition, or into all."""
        for key, value in records:
            everywhere = range(PARTITIONS)
            home = [partition_of(key.decode(), PARTITIONS)]
            for partition in everywhere if key.startswith(b"myaku.") else home:
                await self.producer.send_and_wait(USAGE_ACCEPTED, value, key, partition)

    async def written(self, topic: str = USAGE_ACCEPTED) -> list[ConsumerRecord]:
        """All that the log holds, by partition."""
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer = kafka.reader(self.settings)
        await consumer.start()
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
        found: list[ConsumerRecord] = []
        for place, end in ends.items():
            while await consumer.position(place) < end:
                found += (await consumer.getmany(place, timeout_ms=100)).get(place, [])
        await consumer.stop()
        return [record for record in found if record.key != LOG.encode()]

    async def score(self) -> None:
        """Let scoring take in what is new, as after a restart."""
        records = await self.written()
        for partition in range(PARTITIONS):
            start = await self.room.load(partition, Marker("log-1", PARTITIONS))
            own = [record for record in records if record.partition == partition]
            await self.room.handle(partition, [one for one in own if one.offset >= start])

    async def newest_act(self) -> dict[str, Any]:
        """The last record of ours."""
        ours = [json.loads(record.value) for record in await self.written()]
        found: dict[str, Any] = [one for one in ours if one.get("source") == "myaku"][-1]
        return found

    async def listed(self, **query: Any) -> list[str]:
        answer = await self.client.get("/v1/accounts", params={"sort": "account_id", **query})
        return [account["account_id"] for account in answer.json()["data"]]


@pytest_asyncio.fixture
async def deployment(tansu_address: str, database_url: str) -> AsyncIterator[Deployment]:
    """Two accounts in history, at START_MS + 1 day."""
    settings = settings_for(tansu_address, database_url)
    await topics.create_log(
        settings, partitions=PARTITIONS, log_id="log-1", source_partitions=PARTITIONS
    )
    engine = database.create(database_url)
    producer = kafka.producer(settings)
    await producer.start()
    room = Scoring(engine, producer, owner="one", moved_by="wall", now_ms=lambda: NOW_MS)
    app = create_app(engine, Keyring(engine), Acts(engine, producer, SECRET_KEY, lambda: NOW_MS))
    async with await callers.client(app, engine, "admin") as client:
        made = Deployment(settings, engine, producer, room, client)
        await made.write(
            config(document()),
            tick(START_MS),
            event("1", START_MS, user_id="u"),
            event("2", START_MS, account_id=ODD),
            tick(START_MS + DAY_MS),
        )
        await made.score()
        yield made
    await producer.stop()
    await engine.dispose()


OVERRIDE = "/v1/accounts/a%2Fb%3Fc%3Dd%23e/override"


async def test_an_override_is_answered_as_it_will_stand_and_is_a_record_of_the_log(
    deployment: Deployment,
) -> None:
    sent = {"score": 12.34, "reason": " they told us ", "expires_at": "2027-01-01T01:00:00+01:00"}
    answer = await deployment.client.put(OVERRIDE, json=sent)
    override = {"score": 12.3, "author": "test", "reason": "they told us"}
    override["expires_at"] = "2027-01-01T00:00:00.000Z"
    assert (answer.status_code, answer.json()) == (202, {"account_id": ODD, "override": override})
    act = await deployment.newest_act()
    assert act["properties"] == override
    assert (act["type"], act["account_id"]) == ("account.overridden", ODD)
    assert act["time"] == iso_time(START_MS + DAY_MS), "a history's time is its clock's"
    assert act["received_at"] == iso_time(NOW_MS)
    assert (await deployment.client.delete(OVERRIDE)).json()["override"] is None
    assert (await deployment.newest_act())["properties"] == {"score": None, "author": "test"}


async def test_the_score_stands_beside_the_computed_one_until_it_expires(
    deployment: Deployment,
) -> None:
    path = OVERRIDE.removesuffix("/override")
    before = (await deployment.client.get(path)).json()
    ends = START_MS + 3 * DAY_MS
    sent = {"score": 12.34, "reason": "they told us", "expires_at": iso_time(ends)}
    accepted = (await deployment.client.put(OVERRIDE, json=sent)).json()["override"]
    await deployment.write(tick(START_MS + DAY_MS + 1))
    await deployment.score()
    stands = (await deployment.client.get(path)).json()
    assert (stands["score"], stands["override"]) == (12.3, accepted)
    assert stands["computed_score"] == before["score"]
    assert {"measure": "override", "cause": "override"}.items() <= stands["drivers"][-1].items()
    listed = await deployment.client.get("/v1/accounts", params={"sort": "score"})
    assert [each["score"] for each in listed.json()["data"] if each["account_id"] == ODD] == [12.3]

    await deployment.write(config(document(window="60d")), tick(ends - 1))
    await deployment.score()
    assert (await deployment.client.get(path)).json()["score"] == 12.3, "whatever is configured"
    await deployment.write(tick(ends))
    await deployment.score()
    after = (await deployment.client.get(path)).json()
    assert (after["override"], after["computed_score"]) == (None, None)
    assert after["score"] != 12.3


async def test_live_an_act_has_the_time_of_the_wall(deployment: Deployment) -> None:
    await deployment.write(tick(NOW_MS - 60_000, "live"))
    await deployment.score()
    answer = await deployment.client.put(OVERRIDE, json={"score": 0, "reason": "merged"})
    assert answer.json()["override"]["expires_at"] == iso_time(NOW_MS + 90 * DAY_MS)
    assert (await deployment.newest_act())["time"] == iso_time(NOW_MS)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"score": 50}, "invalid_request"),
    ({"score": 50, "reason": " "}, "invalid_request"),
    ({"score": 50, "reason": "a\0b"}, "invalid_request"),
    ({"score": 50, "reason": "x" * 501}, "invalid_request"),
    ({"score": -0.1, "reason": "x"}, "invalid_request"),
    ({"score": 100.1, "reason": "x"}, "invalid_request"),
    ({"score": True, "reason": "x"}, "invalid_request"),
    ({"score": "50", "reason": "x"}, "invalid_request"),
    ({"score": None, "reason": "x"}, "invalid_request"),
    ({"score": 50, "reason": "x", "author": "me"}, "invalid_request"),
    ({"score": 50, "reason": "x", "expires_at": "tomorrow"}, "invalid_request"),
    ({"score": 50, "reason": "x", "expires_at": "2027-01-01T00:00:00"}, "invalid_request"),
    ({"score": 50, "reason": "x", "expires_at": iso_time(START_MS + DAY_MS)}, "expired"),
    ({"score": 50, "reason": "x", "expires_at": "2031-01-01T00:00:00Z"}, "too_long"),
]


async def test_what_is_no_override_is_refused(deployment: Deployment) -> None:
    before = len(await deployment.written())
    for body, code in REFUSED:
        answer = await deployment.client.put(OVERRIDE, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, code), body
    unknown = await deployment.client.put(
        "/v1/accounts/nobody/override", json={"score": 50, "reason": "x"}
    )
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_account")
    assert len(await deployment.written()) == before


async def test_a_closed_account_leaves_the_lists_and_comes_back(deployment: Deployment) -> None:
    assert await deployment.listed() == [ODD, "acme"]
    closed = await deployment.client.post("/v1/accounts/acme/close", json={"reason": "merged"})
    assert (closed.status_code, closed.json()["closed"]) == (202, True)
    await deployment.write(tick(START_MS + DAY_MS + 1))
    await deployment.score()
    assert await deployment.listed() == [ODD]
    assert await deployment.listed(closed=True) == [ODD, "acme"]
    assert (await deployment.client.get("/v1/accounts/acme")).json()["profile"] == {"closed": True}
    assert (await deployment.client.get("/v1/accounts/acme/history")).json()["data"]

    assert (await deployment.client.post("/v1/accounts/acme/reopen")).json()["closed"] is False
    await deployment.write(tick(START_MS + DAY_MS + 2))
    await deployment.score()
    assert await deployment.listed() == [ODD, "acme"]


async def test_by_command(deployment: Deployment) -> None:
    environment = {
        "MYAKU_KAFKA": deployment.settings.kafka,
        "MYAKU_DATABASE_URL": deployment.settings.database_url.get_secret_value(),
    }
    ends = iso_time(START_MS + 9 * DAY_MS)
    override = ("accounts", "override", ODD, "--author", "ana")
    said = await myaku(*override, "--score", "80", "--reason", "they told us", "--expires", ends,
                       **environment)  # fmt: skip
    assert said == (0, f"Accepted: the score of {ODD} is 80.0 until {ends}.\n", "")
    assert (await deployment.newest_act())["properties"]["author"] == "ana"
    assert (await myaku(*override, "--end", **environment)).status == 0
    assert (await deployment.newest_act())["properties"] == {"score": None, "author": "ana"}
    assert (await myaku("accounts", "close", "acme", "--reason", "gone", **environment)).status == 0
    assert (await deployment.newest_act())["type"] == "account.closed"
    assert (await myaku("accounts", "reopen", "acme", **environment)).status == 0
    assert (await deployment.newest_act())["properties"] == {"closed": False}

    for arguments, words in (
        (("--score", "80"), "--reason has 1 to 500 printable characters"),
        ((), "Say --score and --reason, or --end."),
        (("--end", "--score", "1"), "--end stands alone"),
        (("--score", "1", "--reason", "x", "--expires", "soon"), "--expires is a time"),
    ):
        refused = await myaku(*override, *arguments, **environment)
        assert (refused.status, refused.output) == (1, "")
        assert words in refused.error
    nobody = await myaku("accounts", "reopen", "nobody", **environment)
    assert nobody == (1, "", "No event of account 'nobody' was accepted yet.\n")


async def test_an_erasure_goes_signed_into_every_source_partition(deployment: Deployment) -> None:
    user = "ü/1?"
    answer = await deployment.client.delete(f"/v1/users/{quote(user, safe='')}")
    accepted = {"user_id": user, "erased_up_to": iso_time(NOW_MS)}
    assert (answer.status_code, answer.json()) == (202, accepted)
    environment = {
        "MYAKU_KAFKA": deployment.settings.kafka,
        "MYAKU_DATABASE_URL": deployment.settings.database_url.get_secret_value(),
    }
    unsigned = await myaku("users", "erase", user, **environment)
    assert (unsigned.status, unsigned.output) == (1, "")
    assert unsigned.error == "MYAKU_SECRET_KEY is not set: an erasure is signed with it.\n"
    said = await myaku("users", "erase", user, MYAKU_SECRET_KEY=SECRET_KEY, **environment)
    assert (said.status, said.error) == (0, "")

    records = await deployment.written(USAGE_EVENTS)
    assert sorted(record.partition for record in records) == [0, 0, 1, 1]
    for record in records:
        assert record.key == b"myaku.user.erased"
        assert json.loads(record.value)["user_id"] == user
        assert is_signed(record.value, dict(record.headers)[SIGNATURE_HEADER], SECRET_KEY)
    too_long = await deployment.client.delete(f"/v1/users/{'x' * 129}")
    assert (too_long.status_code, too_long.json()["code"]) == (422, "invalid_request")
