"""Digests: one message for each owner and channel, of what is still so, whatever crashes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.api import create_app
from services.alerts.delivery import outbox
from services.alerts.delivery.dispatcher import Dispatcher
from services.alerts.delivery.gathering import GATHER_MS, ONE_AT_A_TIME
from services.alerts.digests import ALERTS_MAX
from services.alerts.pipeline import Alerts
from services.alerts.records import RawRecord
from shared import database
from shared.access import Keyring
from tests import callers
from tests.alerts.mailbox import Mailbox, mail, mail_server, parts
from tests.alerts.receiver import SECRET, Receiver, receiving, webhook
from tests.alerts.rows import claimed, nobody, records
from tests.alerts.test_delivery import Wall, status
from tests.alerts.world import HOUR_MS, PROFILE, RULE, at_ms, config, health, tick

AT_ONCE: dict[str, Any] = {**RULE, "for": "0s", "clear_for": "0s"}
BO = {**PROFILE, "csm": "bo@example.com", "name": "Beta"}


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    opened = database.create(database_url)
    yield opened
    await opened.dispose()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(follow_redirects=False, trust_env=False) as opened:
        yield opened


class Deployment:
    """Partitions that have a history, and a sender; the wall is at the partitions' hour."""

    def __init__(self, engine: AsyncEngine, client: httpx2.AsyncClient, **secrets: str) -> None:
        self.wall = Wall()
        self.engine = engine
        self.sender = Dispatcher(engine, client, {"HOOK": SECRET, **secrets}, self.wall)
        self.workers: dict[int, tuple[Alerts, int]] = {}

    async def read(self, *raw: RawRecord, partition: int = 0) -> None:
        """Handle records of a partition."""
        if partition not in self.workers:
            self.workers[partition] = await claimed(self.engine, partition=partition, partitions=2)
        worker, offset = self.workers[partition]
        await worker.handle(partition, records(raw, offset, partition))
        self.workers[partition] = worker, offset + len(raw)

    async def deliver(self, hours: float, *names: str) -> None:
        """What the sender does around an hour: gather, wait, gather, deliver all."""
        self.wall.ms = at_ms(hours)
        await self.sender.gather()
        self.wall.ms += GATHER_MS
        await self.sender.gather()
        for name in names:
            while await self.sender.deliver_next(name):
                pass


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    """What arrived."""
    return [msgspec.json.decode(body) for _, body in receiver.requests]


def fading(number: int, score: float, **others: Any) -> RawRecord:
    """An account of a history that is in breach."""
    return health(0, score, 1, f"account-{number}", mode="history", **others)


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


async def test_the_end_of_what_was_in_a_digest_is_told_and_of_what_was_not_is_not(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving() as receiver:
        there = Deployment(engine, client)
        routing = {"destinations": {"hook": webhook(receiver)}, "to": ["hook"]}
        await there.read(config(AT_ONCE, **routing), fading(1, 55), fading(2, 55))
        await there.read(tick(1, "history"), tick(2), health(2, 70, 2, "account-2"))
        await there.deliver(2, "hook")
        assert [body["type"] for body in bodies(receiver)] == ["alert.digest"]
        assert len(bodies(receiver)[0]["data"]["alerts"]) == 1
        await there.read(tick(2.1), health(2.1, 70, 2, "account-1"))
        await there.deliver(2.1, "hook")
    assert [body["type"] for body in bodies(receiver)] == ["alert.digest", "alert.resolved"]
    assert sorted(await status(engine)) == [
        ("digest", "sent", 1, False),
        ("opened", "recorded", 0, False),
        ("opened", "recorded", 0, False),
        ("opened", "sent", 0, False),
        ("opened", "superseded", 0, False),
        ("resolved", "sent", 1, False),
        ("resolved", "superseded", 0, False),
    ]


async def test_ends_that_a_configuration_makes_are_in_one_digest_for_who_had_heard(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving() as receiver:
        there = Deployment(engine, client)
        routing = {"destinations": {"hook": webhook(receiver)}, "to": ["hook"]}
        news = [health(0, 55, 1, f"account-{number}") for number in range(3)]
        await there.read(config(AT_ONCE, **routing), tick(0), *news)
        await there.deliver(0, "hook")
        mild = {**AT_ONCE, "levels": [{"severity": "warning", "trigger": 40, "clear": 45}]}
        await there.read(config(mild, **routing), tick(0.1))
        await there.deliver(0.1, "hook")
    said = bodies(receiver)
    assert [body["type"] for body in said] == ["alert.opened"] * 3 + ["alert.digest"]
    assert said[-1]["data"]["text"].startswith("3 alerts are over; owner ana@example.com.\n- Acme")


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


async def test_a_digest_that_is_over_before_it_could_be_sent_is_not_sent(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving(503) as receiver:
        there = Deployment(engine, client)
        routing = {"destinations": {"hook": webhook(receiver)}, "to": ["hook"]}
        await there.read(config(AT_ONCE, **routing), fading(1, 55), tick(1, "history"), tick(2))
        await there.deliver(2, "hook")
        await there.read(tick(2.05), health(2.05, 70, 2, "account-1"))
        await there.deliver(2.05, "hook")
    assert len(receiver.requests) == 1
    assert {one[1] for one in await status(engine)} == {"recorded", "superseded"}


@pytest.mark.parametrize("to", [["mail"], ["hook"]])
async def test_a_digest_that_is_dead_is_made_anew_for_the_fallback(
    engine: AsyncEngine, client: httpx2.AsyncClient, to: list[str]
) -> None:
    mailbox = Mailbox(recipients_script=["550 no such user"] if to == ["mail"] else [])
    async with receiving(*([404] if to == ["hook"] else [])) as receiver, mail_server(mailbox):
        there = Deployment(engine, client, SMTP=mailbox.url)
        routing = {
            "destinations": {
                "mail": mail(),
                "hook": webhook(receiver),
                "team": mail(to="team@example.com"),
            },
            "to": to,
            "fallback": "cs@example.com",
            "fallback_to": ["team"],
        }
        await there.read(config(AT_ONCE, **routing), fading(1, 55), fading(2, 20))
        await there.read(tick(1, "history"), tick(2))
        await there.deliver(2, *to, "team")
        assert mailbox.letters == []
        await there.deliver(2.01, *to, "team")
        [letter] = mailbox.letters
        assert mailbox.recipients == ["team@example.com"]
        assert letter["Subject"] == "2 alerts are open, 1 of them critical; owner ana@example.com."
        for said in parts(letter):
            assert "critical: Acme is at 20" in said
            assert "warning: Acme is at 55" in said
        await there.read(tick(2.02), health(2.02, 70, 2, "account-1"))
        await there.deliver(2.02, *to, "team")
    assert [str(one["Subject"]) for one in mailbox.letters[1:]] == ["Acme at 70: the alert is over"]


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


async def test_the_end_in_a_digest_also_goes_where_the_alert_went_instead(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    mailbox = Mailbox(recipients_script=["550 no such user"])
    async with mail_server(mailbox):
        there = Deployment(engine, client, SMTP=mailbox.url)
        routing = {
            "destinations": {"mail": mail(), "team": mail(to="team@example.com")},
            "to": ["mail"],
            "fallback": "cs@example.com",
            "fallback_to": ["team"],
        }
        await there.read(config(AT_ONCE, **routing), tick(0), health(0, 55, 1))
        await there.deliver(0, "mail", "team")
        mild = {**AT_ONCE, "levels": [{"severity": "warning", "trigger": 40, "clear": 45}]}
        await there.read(config(mild, **routing), tick(0.01))
        await there.deliver(0.01, "mail", "team")
    assert mailbox.recipients == ["team@example.com"] * 2
    assert [str(one["Subject"]) for one in mailbox.letters] == [
        "Acme at 55: warning",
        "Acme at 55: the alert is over",
    ]


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


async def test_an_end_waits_for_the_digest_that_tells_of_the_alert(
    engine: AsyncEngine, client: httpx2.AsyncClient
) -> None:
    async with receiving(503) as receiver:
        there = Deployment(engine, client)
        routing = {"destinations": {"hook": webhook(receiver)}, "to": ["hook"]}
        await there.read(config(AT_ONCE, **routing), fading(1, 55), fading(2, 55))
        await there.read(tick(1, "history"), tick(2))
        await there.deliver(2, "hook")
        await there.read(tick(2.01), health(2.01, 70, 2, "account-1"))
        assert not await there.sender.deliver_next("hook")
        await there.deliver(2.05, "hook")
    assert [body["type"] for body in bodies(receiver)] == [
        "alert.digest",
        "alert.digest",
        "alert.resolved",
    ]
