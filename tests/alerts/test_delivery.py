"""Delivery: a real outbox, and a real receiver on loopback that answers as it likes."""

import asyncio
from typing import Any

import httpx2
import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook

from services.alerts.delivery import outbox
from services.alerts.delivery.dispatcher import Dispatcher
from services.alerts.delivery.send import Means
from services.alerts.pipeline import Alerts
from shared import database, runtime
from shared.database import snapshot
from shared.events import Mode
from shared.operations import Readiness
from tests.alerts.receiver import OLDER, SECRET, receiving, webhook
from tests.alerts.rows import claimed, records
from tests.alerts.world import AT_ONCE, HOUR_MS, MINUTE_MS, at_ms, config, health, tick


class Wall:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.ms = runtime.now_ms()

    def __call__(self) -> int:
        return self.ms


async def firing(engine: AsyncEngine, destination: dict[str, Any], accounts: int = 1) -> Alerts:
    """Accounts that are in breach, in history that is delivered: nothing waits for the clock."""
    worker, _ = await claimed(engine)
    worker.deliver_history = True
    raw = [config(AT_ONCE, destinations={"hook": destination}, to=["hook"])]
    for number in range(accounts):
        raw.append(health(0, 55, 1, f"account-{number}", mode="history"))
    await worker.handle(0, records(raw))
    return worker


async def status(engine: AsyncEngine) -> list[tuple[str, str, int, bool]]:
    """(kind, status, counted attempts, maybe a duplicate), in the order of the events."""
    async with snapshot(engine) as connection:
        rows = await connection.execute(
            text(
                "SELECT kind, status, attempts, maybe_duplicate FROM alerts.notification"
                " ORDER BY alert_id, number"
            )
        )
        return [tuple(row) for row in rows]


async def attempts(engine: AsyncEngine) -> list[tuple[str, int | None]]:
    """(outcome, HTTP status) of every attempt."""
    async with snapshot(engine) as connection:
        rows = await connection.execute(
            text("SELECT outcome, http_status FROM alerts.delivery_attempt ORDER BY at_ms, number")
        )
        return [tuple(row) for row in rows]


def dispatcher(engine: AsyncEngine, client: httpx2.AsyncClient, wall: Wall) -> Dispatcher:
    """A sender that knows the secret, and the one before it."""
    return Dispatcher(engine, client, {"HOOK": f"{SECRET} {OLDER}"}, wall)


async def test_the_same_message_is_sent_again_until_it_is_taken(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving(503, "reset", 200) as receiver:
        await firing(engine, webhook(receiver))
        wall = Wall()
        sender = dispatcher(engine, client, wall)
        for _ in range(3):
            assert await sender.deliver_next("hook")
            assert not await sender.deliver_next("hook")
            wall.ms += 400_000
    assert len(set(receiver.ids)) == 1
    assert len({headers["webhook-timestamp"] for headers, _ in receiver.requests}) == 3
    assert await status(engine) == [("opened", "sent", 3, True)]
    assert await attempts(engine) == [("transient", 503), ("unknown", None), ("sent", 200)]
    headers, body = receiver.requests[0]
    for secret in (SECRET, OLDER):
        verified = Webhook(secret).verify(body, headers)
        assert verified["data"]["notification_id"] == receiver.ids[0]
    assert verified["type"] == "alert.opened"
    assert verified["data"]["change"]["account"]["mrr"] == "1200.00"


async def test_a_destination_that_is_busy_is_left_alone_as_long_as_it_asks(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving("429 30") as receiver:
        await firing(engine, webhook(receiver), accounts=3)
        wall = Wall()
        sender = dispatcher(engine, client, wall)
        assert await sender.deliver_next("hook")
        for wait_ms in (0, 29_999):
            wall.ms += wait_ms
            assert not await sender.deliver_next("hook")
        assert [one[1:3] for one in await status(engine)].count(("retry", 0)) == 1
        wall.ms += 1
        for _ in range(3):
            assert await sender.deliver_next("hook")
    assert len(receiver.requests) == 4
    assert {one[1] for one in await status(engine)} == {"sent"}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(400, "permanent"), (404, "permanent"), (410, "gone")],
)
async def test_what_will_never_be_taken_is_dead_at_once(
    engine: AsyncEngine, client: httpx2.AsyncClient, answer: int, outcome: str
) -> None:
    async with receiving(answer) as receiver:
        await firing(engine, webhook(receiver), accounts=2)
        sender = dispatcher(engine, client, Wall())
        while await sender.deliver_next("hook"):
            pass
    assert (await attempts(engine))[0] == (outcome, answer)
    after_that = {"permanent": ["dead", "sent"], "gone": ["dead", "dead"]}[outcome]
    assert sorted(one[1] for one in await status(engine)) == after_that
    assert len(receiver.requests) == {"permanent": 2, "gone": 1}[outcome]
    assert ("hook" in sender.undeliverable) is (outcome == "gone")


async def test_a_redirect_is_a_failure_and_not_followed(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving(302) as receiver:
        await firing(engine, webhook(receiver))
        await dispatcher(engine, client, Wall()).deliver_next("hook")
    assert len(receiver.requests) == 1
    assert await status(engine) == [("opened", "retry", 1, False)]


async def test_a_receiver_that_says_nothing_is_asked_again(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving("hang") as receiver:
        await firing(engine, webhook(receiver, timeout="1s"))
        await dispatcher(engine, client, Wall()).deliver_next("hook")
        assert await status(engine) == [("opened", "retry", 1, True)]


@pytest.mark.parametrize(
    ("mode", "becomes", "requests"), [("live", "superseded", 1), ("history", "sent", 3)]
)
async def test_live_nobody_is_told_of_what_ended_before_they_heard_of_it(
    engine: AsyncEngine, client: httpx2.AsyncClient, mode: Mode, becomes: str, requests: int
) -> None:
    async with receiving(500) as receiver:
        worker = await firing(engine, webhook(receiver))
        wall = Wall()
        wall.ms = at_ms(1)
        sender = dispatcher(engine, client, wall)
        await sender.deliver_next("hook")
        raw = [health(5, 70, 2, "account-0", mode="history"), tick(5, mode)]
        await worker.handle(0, records(raw, 2))
        wall.ms = at_ms(5)
        while await sender.deliver_next("hook"):
            pass
    assert len(receiver.requests) == requests
    assert [one[:2] for one in await status(engine)] == [
        ("opened", becomes),
        ("resolved", becomes),
    ]


async def test_what_a_killed_sender_may_have_sent_counts_as_told(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving(200) as receiver:
        worker = await firing(engine, webhook(receiver))
        wall = Wall()
        wall.ms = at_ms(1)
        async with database.transaction(engine) as connection:
            assert await outbox.take(connection, "hook", wall.ms, ("killed", MINUTE_MS))
        raw = [health(5, 70, 2, "account-0", mode="history"), tick(5, "live")]
        await worker.handle(0, records(raw, 2))
        wall.ms = at_ms(5)
        while await dispatcher(engine, client, wall).deliver_next("hook"):
            pass
    assert await status(engine) == [("opened", "sent", 1, True), ("resolved", "sent", 1, False)]


async def test_who_was_told_hears_of_the_end_and_in_order(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving(200, 503) as receiver:
        worker = await firing(engine, webhook(receiver))
        wall = Wall()
        sender = dispatcher(engine, client, wall)
        assert await sender.deliver_next("hook")
        raw = [
            health(1, 35, 2, "account-0", mode="history"),
            health(5, 70, 3, "account-0", mode="history"),
        ]
        await worker.handle(0, records(raw, 2))
        assert await sender.deliver_next("hook")
        assert not await sender.deliver_next("hook")  # the end waits for the raise
        wall.ms += HOUR_MS
        while await sender.deliver_next("hook"):
            pass
    kinds = [msgspec.json.decode(body)["type"] for _, body in receiver.requests]
    assert kinds == ["alert.opened", "alert.raised", "alert.raised", "alert.resolved"]


async def test_killed_after_the_claim_only_its_lane_waits_for_the_lease(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving("hang") as receiver:
        await firing(engine, webhook(receiver, timeout="60s"), accounts=3)
        wall = Wall()
        killed = asyncio.create_task(dispatcher(engine, client, wall).deliver_next("hook"))
        await receiver.arrived.wait()
        killed.cancel()
        await asyncio.wait([killed])
        sender = dispatcher(engine, client, wall)
        assert await sender.deliver_next("hook")
        assert await sender.deliver_next("hook")
        assert not await sender.deliver_next("hook")
        wall.ms += 2 * MINUTE_MS
        assert await sender.deliver_next("hook")
        assert not await sender.deliver_next("hook")
    assert {one[1] for one in await status(engine)} == {"sent"}
    assert len(receiver.ids) == 4  # it had arrived: one duplicate, under the same id
    assert len(set(receiver.ids)) == 3
    assert receiver.ids.count(receiver.ids[0]) == 2


async def test_two_senders_send_nothing_twice(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving() as receiver:
        await firing(engine, webhook(receiver), accounts=12)
        wall = Wall()

        async def drain() -> None:
            sender = dispatcher(engine, client, wall)
            while await sender.deliver_next("hook"):
                pass

        await asyncio.gather(drain(), drain(), drain())
    assert len(receiver.ids) == len(set(receiver.ids)) == 12


@pytest.mark.parametrize("secrets", [{}, {"HOOK": "whsec_"}, {"HOOK": "no base64 é"}])
async def test_a_missing_secret_keeps_the_message_and_says_so(
    engine: AsyncEngine, client: httpx2.AsyncClient, secrets: dict[str, str]
) -> None:
    async with receiving() as receiver:
        await firing(engine, webhook(receiver))
        wall = Wall()
        sender = Dispatcher(engine, client, secrets, wall)
        assert await sender.deliver_next("hook")
        assert not await sender.deliver_next("hook")
        assert await status(engine) == [("opened", "queued", 0, False)]
        assert "MYAKU_SECRET_HOOK" in sender.undeliverable["hook"]
        wall.ms += MINUTE_MS
        sender.means = Means(client, {"HOOK": SECRET})
        assert await sender.deliver_next("hook")
    assert await status(engine) == [("opened", "sent", 1, False)]
    assert sender.undeliverable == {}


async def test_while_the_clock_is_behind_live_messages_wait(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving() as receiver:
        worker, _ = await claimed(engine)
        raw = [
            config(AT_ONCE, destinations={"hook": webhook(receiver)}, to=["hook"]),
            *(tick(0), tick(0), health(0, 55, 1)),
        ]
        await worker.handle(0, records(raw))
        wall = Wall()
        sender = dispatcher(engine, client, wall)
        wall.ms = at_ms(0) + 5 * MINUTE_MS + 1
        assert not await sender.deliver_next("hook")
        await worker.handle(0, records([tick(0.05)], 4))
        assert await sender.deliver_next("hook")


async def test_what_is_woken_is_delivered_at_once_and_history_never(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving() as receiver:
        worker, _ = await claimed(engine)
        raw = [config(AT_ONCE, destinations={"hook": webhook(receiver)}, to=["hook"])]
        await worker.handle(0, records([*raw, health(0, 55, 1, "old", mode="history")]))
        sender = dispatcher(engine, client, Wall())
        running = runtime.Running(Readiness())
        working = asyncio.create_task(sender.run(running))
        worker.wake, worker.deliver_history = sender.wake, True
        await worker.handle(0, records([health(0, 55, 1, "new", mode="history")], 2))
        await asyncio.wait_for(receiver.arrived.wait(), 10)
        running.stop.set()
        await working
    assert sorted(one[1] for one in await status(engine)) == ["recorded", "sent"]
    assert len(receiver.requests) == 1
