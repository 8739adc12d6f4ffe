"""What the API and operations are told of sources."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from services.scoring.api import create_app
from services.scoring.engine import RawRecord, State, advance, decode
from services.scoring.load import load
from services.scoring.rows import rows_of
from services.scoring.sources import forget_sources, measure_sources, tell_turns
from services.scoring.store import save
from shared import database
from shared.access import Keyring
from shared.database import snapshot, transaction
from shared.offsets import claim
from shared.times import iso_time
from tests import callers
from tests.scoring.random_log import DAY_MS, START_MS, config, document, event, tick

NOBODY: Any = None
"""Nothing is done here."""
TOLD = ("source", "status", "newest_event_at", "expected_every", "events_24h", "rejected_24h")


def records(partition: int) -> list[tuple[bytes, bytes]]:
    """`app` is silent for three days, `web` for half a day; each has an account's events."""
    ticks = [tick(START_MS), tick(START_MS + 3 * DAY_MS, app=START_MS, web=START_MS + 5 * DAY_MS)]
    told = [
        event(f"{partition}-{number}", START_MS, account_id=f"a{partition}-{source}", source=source)
        for source in ("app", "web")
        for number in range(2)
    ]
    return [config(document()), ticks[0], *told, ticks[1]]


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = database.create(database_url)
    yield made
    await made.dispose()


async def partition_of(engine: AsyncEngine, partition: int) -> State:
    """A partition as it is loaded after those records."""
    async with transaction(engine) as connection:
        held = await claim(connection, "scoring", partition, "log-1", "me")
        state = State(partition, 7)
        raw = [RawRecord(offset, *record) for offset, record in enumerate(records(partition))]
        effects = advance(state, decode(raw, state), lambda _: partition)
        tell_turns(state, effects.sources.turns)
        held = await save(connection, held, len(raw), rows_of(state, effects))
    async with snapshot(engine) as connection:
        return (await load(connection, held)).state


async def test_the_api_says_how_each_source_is(engine: AsyncEngine) -> None:
    for partition in range(2):
        await partition_of(engine, partition)
    async with await callers.client(create_app(engine, Keyring(engine), NOBODY), engine) as client:
        answer = (await client.get("/v1/sources")).json()
        first = (await client.get("/v1/sources", params={"limit": 1})).json()
        rest = (await client.get("/v1/sources", params={"cursor": first["next_cursor"]})).json()
        health = (await client.get("/v1/accounts/a1-app")).json()
        days = (await client.get("/v1/accounts/a1-app/history")).json()["data"]
        fresh = (await client.get("/v1/accounts/a1-web/history")).json()["data"]
    assert [tuple(one[name] for name in TOLD) for one in answer["data"]] == [
        ("app", "stale", iso_time(START_MS), "2d", 0, 1),
        ("never", "quiet", None, "1h", 0, 0),
        ("web", "ok", iso_time(START_MS + 5 * DAY_MS), None, 0, 1),
    ]
    assert first["data"] + rest["data"] == answer["data"]
    assert health["stale"] is True
    assert [day["stale"] for day in days] == [False, False, True]
    assert days[2]["score"] == health["score"]
    assert not any(day["stale"] for day in fresh)


async def test_operations_is_told_once_of_a_silent_source(engine: AsyncEngine) -> None:
    with capture_logs() as said:
        states = [await partition_of(engine, partition) for partition in range(2)]
    assert said == [
        {
            "event": "a source has fallen silent",
            "log_level": "warning",
            "source": "app",
            "newest_event": iso_time(START_MS),
            "clock": iso_time(START_MS + 3 * DAY_MS),
        }
    ]
    for state in states:
        measure_sources(state)
    assert REGISTRY.get_sample_value("myaku_source_stale", {"source": "app"}) == 1
    silent = REGISTRY.get_sample_value("myaku_source_silent_seconds", {"source": "app"})
    assert silent == 3 * DAY_MS / 1000
    assert REGISTRY.get_sample_value("myaku_source_stale", {"source": "web"}) is None
    heard = [tick(START_MS + 3 * DAY_MS + 1, app=START_MS + 3 * DAY_MS)]
    raw = [RawRecord(90 + offset, *record) for offset, record in enumerate(heard)]
    with capture_logs() as said:
        for state in states:
            effects = advance(state, decode(raw, state), lambda _: 0)
            tell_turns(state, effects.sources.turns)
    assert [(one["event"], one["source"]) for one in said] == [("a source is heard again", "app")]
    measure_sources(states[0])
    assert REGISTRY.get_sample_value("myaku_source_stale", {"source": "app"}) == 0
    forget_sources()
    assert REGISTRY.get_sample_value("myaku_source_stale", {"source": "app"}) is None
