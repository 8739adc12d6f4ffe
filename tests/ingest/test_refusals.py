"""Every refusal of the contract, on real brokers: the original bytes, and the reason."""

import hashlib
import json
from typing import Any

from prometheus_client import REGISTRY

from services.scoring.engine import RawRecord, State, decode
from shared.events import TICK, Tick, encode, sign
from shared.kafka import partition_of
from tests.conftest import settings_for
from tests.ingest.running import NOW_MS, Log, committed, event, ingesting, log

DEEP: Any = 0
for _ in range(9):
    DEEP = {"a": DEEP}

REFUSALS: list[tuple[str, bytes | None]] = [
    ("undecodable", None),
    ("undecodable", b""),
    ("undecodable", b"{"),
    ("undecodable", b"[1, 2]"),
    ("undecodable", b'"text"'),
    ("undecodable", b"\xff\xfe{\x00}\x00"),
    ("undecodable", b'{"id": "\xff"}'),
    ("undecodable", b"[" * 50_000),
    ("missing_id", event(id=None)),
    ("missing_id", b'{"id": null}'),
    ("bad_id", event(id="")),
    ("bad_id", event(id=7)),
    ("bad_id", event(id="x" * 129)),
    ("bad_id", event(id="a\0b")),
    ("missing_type", event(type=None)),
    ("bad_type", event(type="")),
    ("bad_type", event(type=["x"])),
    ("bad_type", event(type="x" * 101)),
    ("bad_type", event(type="myaku.tick")),
    ("bad_type", event(type="account.overridden", properties={"score": 1})),
    ("bad_type", event(type="user.erased", user_id="u-17")),
    ("unknown_account", event(account_id=None)),
    ("unknown_account", event(account_id="")),
    ("unknown_account", event(account_id=7)),
    ("unknown_account", event(account_id="x" * 129)),
    ("unknown_account", event(account_id="myaku.tick")),
    ("unknown_account", event(account_id=None, user_id="u", type="user.joined")),
    ("bad_user", event(user_id="")),
    ("bad_user", event(user_id=1)),
    ("bad_user", event(user_id="x" * 129)),
    ("missing_time", event(time=None)),
    ("bad_time", event(time=1_700_000_000)),
    ("bad_time", event(time="2026-11-22")),
    ("bad_time", event(time="2026-11-22T03:04:05")),
    ("bad_time", event(time="2026-02-30T03:04:05Z")),
    ("future_time", event(time="2027-01-15T08:05:30.001Z")),
    ("bad_properties", event(properties=[1])),
    ("bad_properties", event(properties="x")),
    ("bad_properties", event(properties={str(key): 1 for key in range(65)})),
    ("bad_properties", event(properties=DEEP)),
    ("bad_properties", event(properties={"a": ["x\0y"]})),
    ("bad_properties", event(properties={"x\0y": 1})),
    ("bad_properties", b'{"id":"a","properties":' + b'{"a":' * 5_000),
    ("too_large", event(properties={"a": "x" * 32 * 1024})),
]


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


def all_counts() -> dict[str, float]:
    kinds = ("read", "accepted", "rejected", "parked", "control")
    return {kind: counted("myaku_records_total", kind=kind) for kind in kinds}


async def test_every_refusal_keeps_the_original_and_leaves_the_good_events_alone(
    kafka_address: str, database_url: str
) -> None:
    settings = settings_for(kafka_address, database_url)
    before = all_counts()
    async with log(settings) as broker, ingesting(settings) as ingest:
        records: list[bytes | None] = []
        for number, (_, bad) in enumerate(REFUSALS):
            records += [bad, event(number, user_id="u", properties={"n": number})]
        await broker.send(*records)
        await committed(ingest, [len(records)])
        rejected = await broker.rejected()
        assert [(dict(one.headers)["reason"].decode(), one.value) for one in rejected] == REFUSALS
        for at, one in enumerate(rejected):
            headers = {name: value.decode() for name, value in one.headers}
            assert (one.key, headers["source_offset"]) == (b"key", str(2 * at))
            assert headers["source_topic"] == "usage.events"
            assert headers["source_partition"] == "0"
            assert headers["rejected_at"] == "2027-01-15T08:00:30.000Z"
            assert headers["detail"].endswith(".")
        await good_ones_arrived(broker)
    added = {kind: count - before[kind] for kind, count in all_counts().items()}
    assert added == {
        "read": 2 * len(REFUSALS),
        "accepted": len(REFUSALS),
        "rejected": len(REFUSALS),
        "parked": 0,
        "control": 0,
    }


async def good_ones_arrived(broker: Log) -> None:
    """Each where its account belongs, in its order, complete, and readable by scoring."""
    found = []
    for partition in range(broker.partitions):
        events = [one for one in await broker.accepted(partition) if one.key != TICK.encode()]
        numbers = []
        for one in events:
            body = json.loads(one.value)
            assert not decode([RawRecord(0, one.key, one.value)], State(0, hash_seed=0)).bad
            assert one.key.decode() == body["account_id"]
            assert partition_of(body["account_id"], broker.partitions) == partition
            assert body["source"] == "usage.events"
            assert body["received_at"] == "2027-01-15T08:00:30.000Z"
            numbers.append(body["properties"]["n"])
        assert numbers == sorted(numbers)
        found += numbers
    assert sorted(found) == list(range(len(REFUSALS)))


async def test_only_signed_records_of_our_own_come_in_and_no_history_into_a_live_deployment(
    kafka_address: str, database_url: str
) -> None:
    settings = settings_for(kafka_address, database_url)
    tick = Tick(0, 1, "2020-01-01T00:00:00.000Z", "history")
    async with log(settings) as broker, ingesting(settings) as ingest:
        await broker.send(encode(tick), key=TICK.encode())
        await broker.send_signed(tick)
        await broker.send_signed(Tick(0, 1, "2020-01-01T00:00:00.000Z", "live"))
        value = encode(event())
        headers = [("myaku-signature", sign(value, "another key, not ours"))]
        await broker.producer.send_and_wait(
            "usage.events", value, key=b"myaku.barrier", headers=headers
        )
        await committed(ingest, [4])
        reasons = [dict(one.headers)["reason"] for one in await broker.rejected()]
        assert reasons == [b"bad_type"] * 4


async def test_what_is_too_large_for_the_topic_is_cut_and_its_hash_kept(
    kafka_address: str, database_url: str
) -> None:
    settings = settings_for(kafka_address, database_url)
    large = b'{"id": "' + hashlib.sha256(b"").hexdigest().encode() * 16_000 + b'"}'
    async with log(settings) as broker, ingesting(settings) as ingest:
        await broker.send(large, event(1))
        await committed(ingest, [2])
        (rejected,) = await broker.rejected()
        headers = dict(rejected.headers)
        assert rejected.value == large[:900_000]
        assert headers["sha256"].decode() == hashlib.sha256(large).hexdigest()
        assert headers["reason"] == b"bad_id"


def test_the_clock_of_these_tests_is_the_one_in_the_table() -> None:
    assert NOW_MS == 1_800_000_030_000
