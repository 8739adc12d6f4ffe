"""Events whose account must be found: completed, parked, released, expired, refused."""

import json
from typing import Any

import pytest

from shared.events import Tick, encode
from shared.settings import Settings
from shared.times import iso_time
from tests.conftest import settings_for
from tests.ingest.running import NOW_MS, Log, committed, event, ids, ingesting, log

DAY_MS = 86_400_000
START_MS = NOW_MS - 100 * DAY_MS


def history(address: str, database_url: str) -> Settings:
    return settings_for(address, database_url, clock="events")


def orphan(name: str, user: str = "u") -> bytes:
    return event(id=name, account_id=None, user_id=user)


def membership(name: str, account: str, left: bool = False, second: int = 0) -> bytes:
    return event(
        id=name,
        account_id=account,
        user_id="u",
        type="user.left" if left else "user.joined",
        time=iso_time(START_MS + second * 1000),
    )


def tick(days: float) -> Tick:
    return Tick(0, 1, iso_time(START_MS + int(days * DAY_MS)), "history")


async def write(broker: Log, record: bytes | Tick, partition: int = 0) -> None:
    if isinstance(record, Tick):
        await broker.send_signed(record, partition)
    else:
        await broker.send(record, partition=partition)


CASES: dict[str, tuple[list[Any], list[str], list[tuple[str, str]]]] = {
    "one membership completes": (
        [membership("j", "a"), orphan("e")],
        ["j", "e"],
        [],
    ),
    "what waited follows its membership at once, in its order, before the next tick": (
        [orphan("e1"), tick(0), orphan("e2"), tick(1), membership("j", "a"), tick(2)],
        ["myaku.tick", "myaku.tick", "j", "e1", "e2", "myaku.tick"],
        [],
    ),
    "several memberships are ambiguous": (
        [membership("j1", "a"), membership("j2", "b"), orphan("e")],
        ["j1", "j2"],
        [("e", "ambiguous_account")],
    ),
    "who left belongs there no longer": (
        [membership("j", "a"), membership("l", "a", left=True, second=1), orphan("e")],
        ["j", "l"],
        [],
    ),
    "who left one of two belongs to the other": (
        [
            membership("j1", "a"),
            membership("j2", "b"),
            membership("l", "b", left=True, second=1),
            orphan("e"),
        ],
        ["j1", "j2", "l", "e"],
        [],
    ),
    "a leaving that is older than the joining changes nothing": (
        [membership("j", "a", second=2), membership("l", "a", left=True, second=1), orphan("e")],
        ["j", "l", "e"],
        [],
    ),
    "at one time the greater id decides": (
        [membership("z", "a"), membership("l", "a", left=True), orphan("e")],
        ["z", "l", "e"],
        [],
    ),
    "nearly seven days are not too long": (
        [orphan("e"), tick(0), tick(6.9999), membership("j", "a")],
        ["myaku.tick", "myaku.tick", "j", "e"],
        [],
    ),
    "seven days are, also for a membership that comes then": (
        [orphan("e"), tick(0), tick(7), membership("j", "a"), orphan("f")],
        ["myaku.tick", "myaku.tick", "j", "f"],
        [("e", "unknown_account")],
    ),
    "time counts from the first tick after it": (
        [tick(0), orphan("e"), tick(1), tick(7.5), membership("j", "a")],
        ["myaku.tick", "myaku.tick", "myaku.tick", "j", "e"],
        [],
    ),
}


def of_case(number: int, record: bytes | Tick) -> bytes | Tick:
    """The record in the source partition of its case, with a user and ids of the case's own."""
    if isinstance(record, Tick):
        return record
    body = json.loads(record)
    return encode({**body, "id": f"{number}.{body['id']}", "user_id": f"u-{number}"})


async def verdicts(broker: Log, number: int) -> tuple[list[str], list[tuple[str, str]]]:
    """What came of a case: in the one partition of `usage.accepted`, and refused."""
    records = await broker.accepted(0)
    bodies = [json.loads(one.value) for one in records]
    mine = [
        name.removeprefix(f"{number}.")
        for name, body in zip(ids(records), bodies, strict=True)
        if name.startswith(f"{number}.") or body.get("source_partition") == number
    ]
    refused = [
        (json.loads(one.value)["id"].removeprefix(f"{number}."), dict(one.headers)["reason"])
        for one in await broker.rejected()
        if dict(one.headers)["source_partition"] == str(number).encode()
    ]
    return mine, [(name, why.decode()) for name, why in refused]


@pytest.mark.parametrize("at_once", [True, False], ids=["one batch", "a batch each"])
async def test_accounts_are_found_the_same_way_however_the_log_is_cut(
    at_once: bool, tansu_address: str, database_url: str
) -> None:
    settings = history(tansu_address, database_url)
    cases = list(CASES.values())
    async with log(settings, partitions=1, sources=len(cases)) as broker:
        written = [0] * len(cases)

        async def write_next() -> None:
            for number, (records, _, _) in enumerate(cases):
                if written[number] < len(records):
                    await write(broker, of_case(number, records[written[number]]), number)
                    written[number] += 1

        longest = max(len(records) for records, _, _ in cases)
        for _ in range(longest if at_once else 0):
            await write_next()
        async with ingesting(settings) as ingest:
            for _ in range(0 if at_once else longest):
                await write_next()
                await committed(ingest, written)
            await committed(ingest, written)
            for number, (name, (_, accepted, refused)) in enumerate(CASES.items()):
                assert (name, await verdicts(broker, number)) == (name, (accepted, refused))


async def test_what_is_parked_outlives_the_worker_and_keeps_the_time_of_its_receipt(
    kafka_address: str, database_url: str
) -> None:
    settings = history(kafka_address, database_url)
    original = b' {"id": "e", "type": "t", "user_id": "u", "time": "2020-01-01T00:00:00+01:00"}'
    async with log(settings, partitions=1) as broker:
        async with ingesting(settings) as ingest:
            await broker.send(original, key=b"whose")
            await committed(ingest, [1])
        async with ingesting(settings, lambda: NOW_MS + 5_000) as ingest:
            await broker.send(membership("j", "a"))
            await committed(ingest, [2])
            _, released = await broker.accepted(0)
            assert (released.key, json.loads(released.value)) == (
                b"a",
                {
                    "id": "e",
                    "type": "t",
                    "account_id": "a",
                    "user_id": "u",
                    "time": "2019-12-31T23:00:00.000Z",
                    "source": "usage.events",
                    "properties": {},
                    "received_at": iso_time(NOW_MS),
                },
            )


async def test_an_expired_event_is_refused_as_it_came(
    kafka_address: str, database_url: str
) -> None:
    settings = history(kafka_address, database_url)
    async with log(settings, partitions=1) as broker, ingesting(settings) as ingest:
        await broker.send(event(), orphan("e"), key=b"whose")
        await write(broker, tick(0))
        await committed(ingest, [3])
        await write(broker, tick(8))
        await committed(ingest, [4])
        (refused,) = await broker.rejected()
        headers = dict(refused.headers)
        assert (refused.key, refused.value) == (b"whose", orphan("e"))
        assert (headers["reason"], headers["source_offset"]) == (b"unknown_account", b"1")


async def test_a_membership_in_another_source_partition_releases_at_the_next_tick(
    tansu_address: str, database_url: str
) -> None:
    settings = history(tansu_address, database_url)
    async with log(settings, partitions=1, sources=2) as broker, ingesting(settings) as ingest:
        await write(broker, orphan("e1"), partition=1)
        await write(broker, orphan("e2"), partition=1)
        await committed(ingest, [0, 2])
        await write(broker, membership("j", "a"), partition=0)
        await committed(ingest, [1, 2])
        assert ids(await broker.accepted(0)) == ["j"]
        await write(broker, tick(0), partition=1)
        await committed(ingest, [1, 3])
        assert ids(await broker.accepted(0)) == ["j", "myaku.tick", "e1", "e2"]
