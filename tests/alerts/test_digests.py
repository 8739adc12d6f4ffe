"""Digests: one message for each owner and channel, of what is still so, whatever crashes."""

import asyncio

import httpx2
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.api import create_app
from services.alerts.delivery import outbox
from services.alerts.delivery.gathering import GATHER_MS, ONE_AT_A_TIME
from services.alerts.digests import ALERTS_MAX
from shared import database
from shared.access import Keyring
from tests import callers
from tests.alerts.deployment import BO, Deployment, bodies, fading
from tests.alerts.mailbox import Mailbox, mail, mail_server, parts
from tests.alerts.receiver import receiving, webhook
from tests.alerts.rows import nobody
from tests.alerts.test_delivery import status
from tests.alerts.world import AT_ONCE, HOUR_MS, at_ms, config, health, tick


async def test_going_live_is_one_digest_for_each_owner_the_worst_first(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving() as receiver:
        there = Deployment(engine, client)
        routing = {"destinations": {"hook": webhook(receiver)}, "to": ["hook"]}
        for partition in (0, 1):
            await there.read(
                config(AT_ONCE, **routing),
                *(fading(2 * number + partition, 55 - number) for number in range(3)),
                fading(30 + partition, 35),
                fading(40 + partition, 20, profile=BO),
                tick(1, "history"),
                partition=partition,
            )
        await there.read(tick(2), partition=0)
        there.wall.ms = at_ms(2)
        await there.sender.gather()
        await there.read(tick(2), partition=1)
        there.wall.ms += GATHER_MS - 1
        await there.sender.gather()
        assert not await there.sender.deliver_next("hook")
        await there.deliver(2, "hook")
        await there.deliver(2.1, "hook")
    said = bodies(receiver)
    assert [body["type"] for body in said] == ["alert.digest"] * 2
    by_owner = {body["data"]["owner"]: body["data"] for body in said}
    assert set(by_owner) == {"ana@example.com", "bo@example.com"}
    ana = by_owner["ana@example.com"]
    assert [one["score"] for one in ana["alerts"]] == [35, 35, 53, 53, 54, 54, 55, 55]
    assert ana["text"].split("\n")[0] == (
        "8 alerts are open, 2 of them critical; owner ana@example.com."
    )
    assert ana["text"].split("\n")[1].startswith("- critical: Acme is at 35 (watch)")
    assert receiver.ids == [body["data"]["notification_id"] for body in said]


async def test_a_digest_holds_the_worst_200_and_counts_the_others(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving() as receiver, mail_server(Mailbox()) as mailbox:
        there = Deployment(engine, client, SMTP=mailbox.url)
        destinations = {"hook": webhook(receiver), "mail": mail()}
        routing = {
            "destinations": destinations,
            "to": ["hook", "mail"],
            "fallback": "cs@example.com",
        }
        many = [fading(number, 55 - number / 10) for number in range(203)]
        await there.read(config(AT_ONCE, **routing), *many, tick(1, "history"), tick(2))
        there.wall.ms = at_ms(2)
        await there.sender.gather()
        assert await waiting(engine, there.wall.ms + GATHER_MS + 7) == (2 * len(many), 7)
        await there.deliver(2, "hook", "mail")
    assert await waiting(engine, there.wall.ms) == (0, 0)
    [body] = bodies(receiver)
    assert (len(body["data"]["alerts"]), body["data"]["more"]) == (ALERTS_MAX, 3)
    assert body["data"]["alerts"][-1]["score"] == 55 - 3 / 10
    said = body["data"]["text"].split("\n")
    assert said[0].startswith("203 alerts are open")
    assert (len(said), said[-1]) == (ALERTS_MAX + 2, "+3 more")
    [letter] = mailbox.letters
    assert str(letter["Subject"]) == said[0]
    for shown in parts(letter):
        assert shown.count("Acme is at") == ALERTS_MAX
        assert "+3 more" in shown


async def waiting(engine: AsyncEngine, now_ms: int) -> tuple[int, int]:
    """How many notifications wait, and how long the oldest has been due, ms."""
    async with database.transaction(engine) as connection:
        return await outbox.waiting(connection, now_ms)


def test_no_two_purposes_share_an_advisory_lock() -> None:
    assert ONE_AT_A_TIME != database.MIGRATION_LOCK


async def test_killed_between_digest_and_answer_it_comes_again_under_the_same_id(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving("hang") as receiver:
        there = Deployment(engine, client)
        routing = {"destinations": {"hook": webhook(receiver, timeout="60s")}, "to": ["hook"]}
        await there.read(config(AT_ONCE, **routing), fading(1, 55), fading(2, 55))
        await there.read(tick(1, "history"), tick(2))
        killed = asyncio.create_task(there.deliver(2, "hook"))
        await asyncio.wait_for(receiver.arrived.wait(), 20)
        killed.cancel()
        await asyncio.wait([killed])
        await there.read(tick(2.1), health(2.1, 70, 2, "account-1"))
        there.wall.ms = at_ms(2.15)
        while await there.sender.deliver_next("hook"):
            pass
    assert len(set(receiver.ids[:2])) == 1
    assert [body["type"] for body in bodies(receiver)] == [
        "alert.digest",
        "alert.digest",
        "alert.resolved",
    ]


async def test_several_senders_make_one_digest(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving() as receiver:
        there = Deployment(engine, client)
        routing = {"destinations": {"hook": webhook(receiver)}, "to": ["hook"]}
        await there.read(config(AT_ONCE, **routing), *(fading(number, 55) for number in range(9)))
        await there.read(tick(1, "history"), tick(2))
        there.wall.ms = at_ms(2)
        await asyncio.gather(*(there.sender.gather() for _ in range(4)))
        there.wall.ms += GATHER_MS
        await asyncio.gather(*(there.sender.gather() for _ in range(4)))
        await there.deliver(2, "hook")
    assert [len(body["data"]["alerts"]) for body in bodies(receiver)] == [9]


async def test_while_the_clock_is_behind_lines_wait_and_then_only_what_is_open_goes(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving() as receiver:
        there = Deployment(engine, client)
        routing = {"destinations": {"hook": webhook(receiver)}, "to": ["hook"]}
        await there.read(config(AT_ONCE, **routing), tick(0))
        await there.read(tick(0.1), health(0.1, 55, 1, "a"), health(0.1, 55, 1, "b"))
        await there.read(tick(0.2), health(0.2, 35, 2, "a"), health(0.2, 70, 2, "b"))
        await there.read(tick(0.9), health(3, 55, 1, "c"), tick(3))
        await there.deliver(9, "hook")
        assert receiver.requests == []
        await there.read(*(tick(3 + minutes / 2) for minutes in range(1, 13)))
        await there.deliver(9, "hook")
    assert [body["type"] for body in bodies(receiver)] == ["alert.raised", "alert.digest"]
    statuses = sorted(await status(engine))
    assert [one[:2] for one in statuses] == [
        ("digest", "sent"),
        ("opened", "sent"),
        ("opened", "superseded"),
        ("opened", "superseded"),
        ("raised", "sent"),
        ("resolved", "superseded"),
    ]


async def test_the_list_of_notifications_shows_digests_and_their_lines(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    mailbox = Mailbox()
    async with mail_server(mailbox):
        there = Deployment(engine, client, SMTP=mailbox.url)
        routing = {"destinations": {"mail": mail()}, "to": ["mail"], "fallback": "cs@example.com"}
        await there.read(config(AT_ONCE, **routing), fading(1, 55), tick(1, "history"), tick(2))
        app = create_app(engine, Keyring(engine), deliver_history=False, wake=nobody)
        api = await callers.client(app, engine)
        held = (await api.get("/v1/notifications?status=held")).json()["data"]
        assert [(one["kind"], one["digest_id"]) for one in held] == [("opened", None)]
        await there.deliver(2, "mail")
        shown = (await api.get("/v1/notifications?status=sent")).json()["data"]
        await api.aclose()
    [digest] = [one for one in shown if one["kind"] == "digest"]
    [line] = [one for one in shown if one["kind"] == "opened"]
    assert (digest["alert_id"], digest["recipient"]) == (None, "ana@example.com")
    assert (line["digest_id"], line["id"]) == (digest["id"], held[0]["id"])
    assert there.wall.ms < at_ms(2) + HOUR_MS


async def test_of_one_alert_a_digest_has_the_newest_line(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving() as receiver:
        there = Deployment(engine, client)
        routing = {"destinations": {"hook": webhook(receiver)}, "to": ["hook"]}
        await there.read(config(AT_ONCE, **routing), fading(1, 55), tick(1, "history"), tick(2))
        strict = {**AT_ONCE, "levels": [{"severity": "critical", "trigger": 60, "clear": 65}]}
        await there.read(config(strict, **routing), tick(2.01))
        await there.deliver(2.01, "hook")
    [digest] = bodies(receiver)
    assert [one["change"]["what"] for one in digest["data"]["alerts"]] == ["raised"]
    assert [one["severity"] for one in digest["data"]["alerts"]] == ["critical"]
