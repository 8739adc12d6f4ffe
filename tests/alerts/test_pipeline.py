"""The pipeline on a real database: whatever the batches, crashes and owners, the same tables."""

import asyncio
import random

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.api import create_app
from services.alerts.records import RawRecord
from shared.access import Keyring
from shared.corrupt import CorruptBatch
from shared.database import transaction
from shared.events import Marker
from shared.log_identity import begin_anew
from shared.offsets import Fenced
from shared.runtime import UserError
from tests import callers
from tests.alerts.rows import claimed, nobody, one, records, tables
from tests.alerts.world import AT_ONCE, barrier, config, health, no_rules, passed_on, tick
from tests.processes import until


def history(seed: int, accounts: int = 8, days: int = 60) -> list[RawRecord]:
    """Some weeks of some accounts: ticks at each midnight, health when it changed."""
    draw = random.Random(seed)
    raw = [config(), tick(0, "history")]
    sequences = dict.fromkeys([f"account-{number}" for number in range(accounts)], 0)
    for day in range(1, days):
        for account in sequences:
            if draw.random() < 0.4:
                sequences[account] += 1
                score = round(draw.uniform(20, 90), 1)
                raw.append(health(24 * day, score, sequences[account], account, mode="history"))
        raw.append(tick(24 * day, "history"))
    return [*raw, barrier("the-end")]


async def test_any_batches_give_the_same_tables(engine: AsyncEngine) -> None:
    raw = records(history(1))
    worker, _ = await claimed(engine)
    await worker.handle(0, raw)
    whole = await tables(engine)
    assert len(whole["notification"]) > 20
    async with transaction(engine) as connection:
        for table in [*whole]:
            await connection.execute(text(f"TRUNCATE alerts.{table}"))
    draw = random.Random(2)
    worker, start = await claimed(engine)
    while start < len(raw):
        end = start + draw.randint(1, 40)
        await worker.handle(0, raw[start:end])
        start = end
    assert await tables(engine) == whole


async def test_a_batch_that_is_read_again_changes_nothing(engine: AsyncEngine) -> None:
    raw = records(history(3, days=20))
    worker, _ = await claimed(engine)
    await worker.handle(0, raw)
    before = await tables(engine)
    await worker.handle(0, raw)
    assert await tables(engine) == before
    _, start = await claimed(engine)
    assert start == len(raw)


async def test_a_failure_before_the_commit_leaves_nothing_behind(engine: AsyncEngine) -> None:
    raw = records(history(4, days=20))
    worker, _ = await claimed(engine)
    await run(
        engine,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RAISE EXCEPTION ''no''; END'",
    )
    await run(
        engine,
        "CREATE TRIGGER fail BEFORE INSERT ON alerts.notification EXECUTE FUNCTION fail()",
    )
    with pytest.raises(DBAPIError):
        await worker.handle(0, raw)
    left = await tables(engine)
    assert (left["account"], left["alert"], left["event"]) == ([], [], [])
    await run(engine, "DROP TRIGGER fail ON alerts.notification")
    worker, start = await claimed(engine)
    assert start == 0
    await worker.handle(0, raw)
    assert (await tables(engine))["event"] != []


async def test_who_was_replaced_can_commit_no_more(engine: AsyncEngine) -> None:
    raw = records(history(5, days=20))
    zombie, _ = await claimed(engine)
    owner, _ = await claimed(engine)
    with pytest.raises(Fenced):
        await zombie.handle(0, raw[:10])
    assert (await tables(engine))["account"] == []
    await owner.handle(0, raw)


async def test_a_new_log_begins_with_what_is_known(engine: AsyncEngine) -> None:
    raw = history(6, days=20)
    worker, _ = await claimed(engine)
    await worker.handle(0, records(raw))
    before = await tables(engine)
    newest = {key: (0, key, value) for _, key, value in raw if key and b"account" in key}
    with pytest.raises(UserError, match=r"another log \(log-2\).*myaku log adopt"):
        await claimed(engine, "log-2")
    await begin_anew(engine, "log-2")
    worker, start = await claimed(engine, "log-2")
    assert start == 0
    await worker.handle(0, records([config(), *newest.values()]))
    assert await tables(engine) == before
    assert await one(engine, "SELECT repeated FROM alerts.partition") == len(newest)


async def test_what_cannot_be_read_is_put_aside_and_the_rest_goes_on(engine: AsyncEngine) -> None:
    worker, _ = await claimed(engine)
    bad: list[RawRecord] = [
        (0, b"acme", b"{not json"),
        (0, b"acme", None),
        (0, None, b"\xff\xfe"),
        (0, b"acme", b"[" * 10_000),
        (0, b"acme", b'{"account_id": "' + b"x" * 5_000_000 + b'"}'),
        (0, b"acme", b'{"score": NaN}'),
        (0, b"myaku.unknown", b'{"type": "myaku.unknown"}'),
        (0, b"myaku.tick", None),
        (0, b"myaku.tick", b'{"type": "myaku.tick"}'),
        (0, b"myaku.config", b'{"type": "myaku.config", "revision": "", "document": {}}'),
        (0, b"acme", health(0, 50, 1)[2].replace(b"2026-03-02T", b"when")),  # type: ignore[union-attr]
    ]
    await worker.handle(0, records([config(AT_ONCE), *bad, health(1, 50, 1)]))
    assert await one(engine, "SELECT count(*) FROM alerts.quarantine") == len(bad)
    assert await one(engine, "SELECT count(*) FROM alerts.alert WHERE state = 'firing'") == 1


async def test_a_batch_that_cannot_be_read_is_put_aside_among_records(engine: AsyncEngine) -> None:
    worker, _ = await claimed(engine)
    before, after = records([config(AT_ONCE)]), records([health(1, 50, 1)], 10)
    await worker.handle(0, [*before, CorruptBatch(1, 9, "Invalid CRC"), *after])
    reason = "The batch with offsets 1 to 9 cannot be read: Invalid CRC."
    assert await one(engine, "SELECT reason FROM alerts.quarantine WHERE log_offset = 9") == reason
    assert await one(engine, "SELECT count(*) FROM alerts.alert WHERE state = 'firing'") == 1
    assert (await claimed(engine))[1] == 11


async def test_a_timer_of_an_account_without_news_runs(engine: AsyncEngine) -> None:
    worker, _ = await claimed(engine)
    await worker.handle(0, records([config(), tick(0), health(0, 50, 1)]))
    await worker.handle(0, records([tick(5)], 3))
    assert await one(engine, "SELECT state FROM alerts.alert") == "pending"
    await worker.handle(0, records([tick(6)], 4))
    assert await one(engine, "SELECT state FROM alerts.alert") == "firing"


async def test_a_removed_rule_ends_alerts_of_accounts_without_news(engine: AsyncEngine) -> None:
    worker, _ = await claimed(engine)
    await worker.handle(0, records([config(AT_ONCE), tick(0), health(0, 50, 1)]))
    await worker.handle(0, records([no_rules()], 3))
    assert await one(engine, "SELECT record->>'resolved_by' FROM alerts.alert") == "rule"


async def test_configurations_that_are_sent_again_take_nothing_back(engine: AsyncEngine) -> None:
    worker, _ = await claimed(engine)
    first, second = passed_on(no_rules(), 1), passed_on(config(AT_ONCE), 2)
    raw = [first, second, tick(0), health(0, 50, 1)]
    await worker.handle(0, records(raw))
    before = await tables(engine)
    assert await one(engine, "SELECT state FROM alerts.alert") == "firing"
    await worker.handle(0, records([first], 4))  # scoring died before it noted that it had sent
    assert await tables(engine) == before
    await worker.handle(0, records(raw[1:], 5))
    assert await tables(engine) == before
    await worker.handle(0, records([passed_on(no_rules(), 3)], 8))
    assert await one(engine, "SELECT record->>'resolved_by' FROM alerts.alert") == "rule"


async def test_a_barrier_is_complete_when_every_partition_has_it(engine: AsyncEngine) -> None:
    app = create_app(engine, Keyring(engine), deliver_history=False, wake=nobody)
    client = await callers.client(app, engine)

    async def seen() -> tuple[int, int, bool]:
        body = (await client.get("/v1/barriers/end")).json()
        return body["partitions"], body["seen"], body["complete"]

    assert await seen() == (0, 0, False)
    for partition in (0, 1):
        worker, _ = await claimed(engine, partition=partition, partitions=2)
        await worker.handle(partition, records([barrier("end")], partition=partition))
        assert await seen() == (2, partition + 1, partition == 1)
    await begin_anew(engine, "log-2")
    await worker.load(1, Marker("log-2", 2))
    assert await seen() == (2, 0, False)
    await client.aclose()


async def test_acts_and_batches_wait_for_one_another(engine: AsyncEngine) -> None:
    """Both orders: whichever comes first, the other sees what it did."""
    app = create_app(engine, Keyring(engine), deliver_history=False, wake=nobody)
    client = await callers.client(app, engine)
    worker, _ = await claimed(engine)
    await worker.handle(0, records([config(AT_ONCE), tick(0), tick(0), health(0, 55, 1)]))
    alert = (await client.get("/v1/alerts")).json()["data"][0]["id"]

    async with transaction(engine) as holder:  # the pipeline, as far as the lock is concerned
        await holder.execute(text("SELECT 1 FROM alerts.partition FOR UPDATE"))
        acting = asyncio.create_task(
            client.post(f"/v1/alerts/{alert}/acknowledge", json={"by": "ana"})
        )
        handling = asyncio.create_task(worker.handle(0, records([health(1, 54, 2)], 4)))
        await until_blocked(engine, 2)
    assert (await acting).status_code == 200
    await handling
    shown = (await client.get(f"/v1/alerts/{alert}")).json()
    assert shown["handling"] == "acked"
    assert [event["what"] for event in shown["events"]] == ["opened", "acknowledged"]

    async with transaction(engine) as holder:
        await holder.execute(text("SELECT 1 FROM alerts.partition FOR UPDATE"))
        handling = asyncio.create_task(worker.handle(0, records([health(2, 70, 3)], 5)))
        await until_blocked(engine, 1)
        acting = asyncio.create_task(
            client.post(f"/v1/alerts/{alert}/close", json={"by": "ana", "verdict": "saved"})
        )
        await until_blocked(engine, 2)
    await handling
    assert (await acting).status_code == 409
    shown = (await client.get(f"/v1/alerts/{alert}")).json()
    assert (shown["state"], shown["resolved_by"]) == ("resolved", "condition")
    await client.aclose()


async def run(engine: AsyncEngine, sql: str) -> None:
    """Run one statement."""
    async with transaction(engine) as connection:
        await connection.execute(text(sql))


async def until_blocked(engine: AsyncEngine, sessions: int) -> None:
    """Return when so many sessions wait for a lock of this database."""

    async def they_wait() -> bool:
        waiting = await one(
            engine,
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock'",
        )
        return bool(waiting == sessions)

    await until(they_wait)
