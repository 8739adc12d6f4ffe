"""Hours without a service, over midnight, while the product's backends go on sending.

The same eleven hours are played twice on a clock that the test drives: undisturbed, and with an
outage from 22:00 to 01:00. Nobody's score may suffer, nobody may be told anything else, and
operations has to know within three minutes.
"""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.standalone import broker
from services.standalone.keeper import Leash
from shared.events import HEALTH_CHANGES
from tests.alerts.receiver import SECRET, Receiver, receiving
from tests.conftest import new_database
from tests.driven_clock import DrivenClock
from tests.end_to_end.conftest import read_all
from tests.operations import world
from tests.operations.deployment import SERVICES, Deployment, deployed
from tests.operations.world import HOURS, MINUTE_MS, UNHAPPY_AT, at_ms, events
from tests.processes import until
from tests.scoring.histories import Record

STOPS, STARTS = 2, 5
"""The outage begins after the tick of 22:00, and ends at 01:00."""

BEHIND = "myaku_clock_behind_seconds"


@dataclass
class Played:
    """What is left of the eleven hours."""

    history: list[tuple[Any, ...]]
    health: dict[str, dict[str, Any]]
    fallen: dict[str, list[float]]
    """By account: every published score that was lower than the one before it."""
    messages: list[tuple[str, str, str]]
    """What was told, alone or in a digest, as it came: id, what happened, to whom."""
    signals: list[tuple[str, str]]
    """By account, the signals that its records told: each is in one of them."""
    rejected: int


class Play:
    """The eleven hours, and where they stand."""

    def __init__(self, deployment: Deployment, receiver: Receiver) -> None:
        self.deployment = deployment
        self.receiver = receiver

    async def send(self, hour: int) -> None:
        """The backends' events of an hour: the broker is never down."""
        for event in events(hour):
            await self.deployment.producer.send_and_wait("usage.events", event)

    async def hour(self, hour: int) -> None:
        """The hour strikes; wait until alerts has heard of it; then the events of the hour."""
        self.deployment.clock.move_to(at_ms(hour))
        await self.until_heard(hour)
        await self.send(hour)

    async def until_heard(self, hour: int) -> None:
        """Wait until the clock has come through all services."""

        async def is_heard() -> bool:
            clock_ms = await self.deployment.database.fetchval(
                "SELECT min(clock_ms) FROM alerts.partition HAVING count(*) = 2"
            )
            return clock_ms is not None and clock_ms >= at_ms(hour)

        await until(is_heard)

    async def until_told(self, number: int) -> None:
        """Wait until so many webhooks have come, and nothing waits to be sent."""
        waiting = (
            "SELECT count(*) FROM alerts.notification"
            " WHERE status IN ('held', 'bundled', 'queued', 'leased', 'retry')"
        )

        async def is_told() -> bool:
            left = await self.deployment.database.fetchval(waiting)
            return len(self.receiver.requests) >= number and left == 0

        await until(is_told)

    async def look(self) -> Played:
        """All that is left, in the end."""
        database = self.deployment.database
        history = await database.fetch(
            "SELECT a.account_id, h.day, h.score_tenths, h.band, h.coverage_hundredths"
            " FROM scoring.history h JOIN scoring.account a USING (partition, account_no)"
            " ORDER BY 1, 2"
        )
        health = await database.fetch("SELECT account_id, record::text FROM scoring.health")
        bodies = [json.loads(body) for _, body in self.receiver.requests]
        address = self.deployment.settings.kafka
        lasting = {name: _lasting(json.loads(record)) for name, record in health}
        published = await read_all(address, HEALTH_CHANGES)
        return Played(
            history=[tuple(row) for row in history],
            health=lasting,
            fallen=_fallen(published),
            signals=_signals(published),
            messages=[message for body in bodies for message in _messages(body["data"])],
            rejected=len(await read_all(address, "usage.rejected")),
        )


def _fallen(records: Iterable[Record]) -> dict[str, list[float]]:
    scores: dict[str, list[float]] = defaultdict(list)
    for key, value in records:
        if key and value and not key.startswith(b"myaku."):
            scores[key.decode()].append(json.loads(value)["score"])
    return {
        name: [after for before, after in pairwise(found) if after < before]
        for name, found in scores.items()
    }


def _signals(records: Iterable[Record]) -> list[tuple[str, str]]:
    """Each signal as often as a record tells it; a record that was sent again counts once."""
    told = {
        (health["account_id"], health["sequence"], signal["id"])
        for key, value in records
        if key and value and not key.startswith(b"myaku.")
        for health in [json.loads(value)]
        for signal in health["signals"]
    }
    return sorted((account_id, identity) for account_id, _, identity in told)


def _messages(data: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What a webhook tells: what crosses while time is made up for comes in a digest."""
    return [
        (each["notification_id"], each["change"]["what"], each["account_id"])
        for each in data.get("alerts", [data])
    ]


def _lasting(record: dict[str, Any]) -> dict[str, Any]:
    """A health record without what tells how often it was written on the way."""
    return {
        name: [
            {key: each[key] for key in each if key not in ("change", "cause", "causes")}
            for each in value
        ]
        if name == "drivers"
        else value
        for name, value in record.items()
        if name not in ("as_of", "sequence", "previous", "signals")
    }


@asynccontextmanager
async def play(directory: Path, database_url: str) -> AsyncIterator[Play]:
    """The first three hours, 20:00 to 22:00, which are alike in all runs."""
    clock = DrivenClock(directory / "clock", at_ms(0))
    secrets = {"MYAKU_SECRET_HOOK": SECRET}
    async with (
        broker.running(Leash(), directory / "broker.log") as kafka,
        receiving() as receiver,
        deployed(
            kafka.address, database_url, world.document(receiver.address), clock, secrets
        ) as deployment,
    ):
        playing = Play(deployment, receiver)
        for hour in range(STOPS + 1):
            await playing.hour(hour)
        await playing.until_told(1)
        yield playing


async def rest(playing: Play) -> Played:
    """From 01:00 on, to the end."""
    await playing.hour(STARTS)
    for hour in range(STARTS + 1, HOURS):
        await playing.hour(hour)
    playing.deployment.clock.move_to(at_ms(HOURS))
    await playing.until_heard(HOURS)  # and so of all that was sent before
    await playing.until_told(len(UNHAPPY_AT))
    return await playing.look()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def undisturbed(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Played:
    directory = tmp_path_factory.mktemp("undisturbed")
    async with play(directory, await new_database(postgres_url)) as playing:
        for hour in range(STOPS + 1, STARTS):
            await playing.hour(hour)
        return await rest(playing)


@pytest.mark.parametrize("down", [("ingest",), ("scoring",), ("alerts",), SERVICES], ids="-".join)
async def test_an_outage_costs_nobody_anything_but_time(
    down: tuple[str, ...], undisturbed: Played, tmp_path: Path, database_url: str
) -> None:
    async with play(tmp_path, database_url) as playing:
        deployment = playing.deployment
        await told_within_three_minutes(playing, down)
        for hour in range(STOPS + 1, STARTS + 1):
            deployment.clock.move_to(at_ms(hour))
            if hour < STARTS:
                await playing.send(hour)
        await deployment.start(*down)
        played = await rest(playing)
        for service in SERVICES:
            await until_behind(deployment, service, 0)
            for line in deployment.log(service).read_text().splitlines():
                assert SECRET not in line
                assert "event" in json.loads(line)

    assert played.rejected == undisturbed.rejected == 0
    assert played.history == undisturbed.history
    assert played.health == undisturbed.health
    assert played.fallen == undisturbed.fallen
    assert played.signals == undisturbed.signals != []
    assert played.messages == undisturbed.messages


WAITS_FOR = {"scoring": "ingest", "alerts": "scoring"}


async def told_within_three_minutes(playing: Play, down: tuple[str, ...]) -> None:
    """At 22:03 operations does not know yet, a second later it does, of whatever is down."""
    deployment = playing.deployment
    deployment.kill(*down)
    for service in down:
        assert await deployment.metric(service, "myaku_ready") == []  # the scrape fails: `up == 0`
    # Who comes after the one that is down misses its ticks.
    late = SERVICES[SERVICES.index(down[0]) + 1 :] if len(down) == 1 else ()
    deployment.clock.move_to(at_ms(STOPS) + 3 * MINUTE_MS)
    for service in late:
        await until_behind(deployment, service, 180)
        assert not (await deployment.ready(service))["clock"]["held_by"]
        assert not standing(deployment, service)
    deployment.clock.forward(1)
    for service in late:
        await until_told_by(deployment, service, WAITS_FOR[service])


async def until_behind(deployment: Deployment, service: str, seconds: int) -> None:
    """Wait until the gauges of a service's clocks say exactly that."""

    async def is_behind() -> bool:
        return set(await deployment.metric(service, BEHIND)) == {seconds}

    await until(is_behind)


async def until_told_by(deployment: Deployment, service: str, holder: str) -> None:
    """Wait until metric, probe and log of a service all say who holds the clock."""

    async def is_told() -> bool:
        behind = set(await deployment.metric(service, BEHIND))
        said = [(await deployment.ready(service))["clock"], *standing(deployment, service)]
        held_by = [each for clock in said for each in clock["held_by"]]
        return (
            behind == {181}
            and len(said) == 2  # the log says it once
            and len(held_by) >= 2
            and all(each.startswith(f"{holder} sends no tick") for each in held_by)
        )

    await until(is_told)


def standing(deployment: Deployment, service: str) -> list[dict[str, Any]]:
    """What the service logged about a clock that stands still."""
    lines = deployment.log(service).read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == "the clock stands still"]
