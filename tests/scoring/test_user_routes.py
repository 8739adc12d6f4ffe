"""Users over HTTP, on a real database: lists by rank, and a user's accounts."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import pytest_asyncio

from services.scoring.api import create_app
from services.scoring.engine import RawRecord, State, advance, decode
from services.scoring.rows import rows_of
from services.scoring.store import save
from shared import database
from shared.access import Keyring
from shared.database import transaction
from shared.events import Erasure, control_key, encode
from shared.offsets import claim
from shared.times import iso_time
from tests import callers
from tests.scoring.random_log import DAY_MS, START_MS, config, document, event, tick

ODD = "Ünïcode/∞?x=1#y"
NOBODY: Any = None
"""Nothing is done here."""


def use(account: str, user: str, day: int, kind: str = "used") -> tuple[bytes, bytes]:
    at_ms = START_MS + day * DAY_MS
    identity = f"{account}-{user}-{day}-{kind}"
    return event(identity, at_ms, account_id=account, user_id=user, type=kind)


def erased(user: str) -> tuple[bytes, bytes]:
    record = Erasure(user, iso_time(START_MS + 9 * DAY_MS))
    return control_key(record), encode(record)


PARTITIONS = (
    [use("acme", "ana", 0), use("acme", "ana", 1), use("acme", "ana", 1, "other"),
     use("acme", "bo", 1), use("acme", ODD, 1), use("acme", "gone", 1), use("z", "bo", 2),
     use("acme", "Unranked", 4)],
    [use("beta", "ana", 1), event("p", START_MS, account_id="none", type="account.updated")],
)  # fmt: skip


@pytest_asyncio.fixture
async def client(database_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    engine = database.create(database_url)
    for partition, events in enumerate(PARTITIONS):
        async with transaction(engine) as connection:
            held = await claim(connection, "scoring", partition, "log-1", "me")
            state = State(partition, 7)
            nights = [tick(START_MS + day * DAY_MS) for day in range(2, 5)]
            records = [config(document()), tick(START_MS), *events, *nights, erased("gone")]
            raw = [RawRecord(offset, *record) for offset, record in enumerate(records)]
            effects = advance(state, decode(raw, state), lambda _, home=partition: home)  # type: ignore[misc]
            await save(connection, held, len(raw), rows_of(state, effects))
    async with await callers.client(create_app(engine, Keyring(engine), NOBODY), engine) as made:
        yield made
    await engine.dispose()


async def test_users_of_an_account_are_listed_by_rank(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/accounts/acme/users")
    assert answer.status_code == 200
    assert answer.json() == {
        "data": [
            {"user_id": "ana", "rank": "S", "score": 75.0, "usage_rate": 1.0,
             "last_active_on": "2024-10-05"},
            {"user_id": "bo", "rank": "B", "score": 30.0, "usage_rate": 0.5,
             "last_active_on": "2024-10-05"},
            {"user_id": ODD, "rank": "B", "score": 30.0, "usage_rate": 0.5,
             "last_active_on": "2024-10-05"},
            {"user_id": "Unranked", "rank": None, "score": 0.0, "usage_rate": 0.0,
             "last_active_on": "2024-10-08"},
        ],
        "next_cursor": None,
    }  # fmt: skip


async def test_pages_and_filters(client: httpx2.AsyncClient) -> None:
    found, query = [], {"limit": "1"}
    while query:
        page = (await client.get("/v1/accounts/acme/users", params=query)).json()
        found += [user["user_id"] for user in page["data"]]
        query = {"limit": "1", "cursor": page["next_cursor"]} if page["next_cursor"] else {}
    assert found == ["ana", "bo", ODD, "Unranked"]
    ranked = await client.get("/v1/accounts/acme/users", params={"rank": "B"})
    assert [user["user_id"] for user in ranked.json()["data"]] == ["bo", ODD]
    assert (await client.get("/v1/accounts/acme/users", params={"rank": "E"})).status_code == 422
    assert (await client.get("/v1/accounts/none/users")).json()["data"] == []


async def test_a_user_is_shown_in_each_account(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/users/ana")
    assert answer.json() == {
        "user_id": "ana",
        "memberships": [
            {"account_id": "acme", "rank": "S", "score": 75.0, "usage_rate": 1.0,
             "last_active_on": "2024-10-05", "points": {"usage": 60.0, "other": 15.0}},
            {"account_id": "beta", "rank": "B", "score": 30.0, "usage_rate": 0.5,
             "last_active_on": "2024-10-05", "points": {"usage": 30.0, "other": 0.0}},
        ],
        "next_cursor": None,
    }  # fmt: skip
    odd = await client.get(f"/v1/users/{quote(ODD, safe='')}")
    assert odd.json()["user_id"] == ODD


async def test_a_users_accounts_come_in_pages(client: httpx2.AsyncClient) -> None:
    first = (await client.get("/v1/users/ana", params={"limit": "1"})).json()
    second = {"limit": "1", "cursor": first["next_cursor"]}
    last = (await client.get("/v1/users/ana", params=second)).json()
    pages = [[each["account_id"] for each in page["memberships"]] for page in (first, last)]
    assert (pages, last["next_cursor"]) == ([["acme"], ["beta"]], None)


@pytest.mark.parametrize(
    ("path", "code"),
    [("/v1/users/nobody", "unknown_user"), ("/v1/users/gone", "unknown_user"),
     ("/v1/accounts/nobody/users", "unknown_account")],
)  # fmt: skip
async def test_who_was_not_seen_is_not_found(
    client: httpx2.AsyncClient, path: str, code: str
) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, code)
