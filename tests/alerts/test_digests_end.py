"""How what was told in a digest ends, and where digests go that nobody takes."""

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.alerts.deployment import Deployment, bodies, fading
from tests.alerts.mailbox import Mailbox, mail, mail_server, parts
from tests.alerts.receiver import receiving, webhook
from tests.alerts.test_delivery import status
from tests.alerts.world import AT_ONCE, config, health, tick


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
