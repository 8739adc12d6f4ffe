"""The HTTP API over ASGI, on a real database."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import make_url, text

from services.scoring.api import create_app
from services.scoring.engine import RawRecord, State, advance, decode
from services.scoring.engine.calendar import iso_day
from services.scoring.rows import rows_of
from services.scoring.store import save
from shared import database
from shared.access import Keyring
from shared.database import transaction
from shared.offsets import claim
from shared.problems import write_cursor
from shared.times import iso_time
from tests import callers
from tests.scoring.random_log import DAY_MS, IDS, START_MS, config, document, event, tick

NAMES = ["Ann & Co", "50% off", "under_score", "back\\slash", "Zoë"]
BAD = "application/problem+json"
NOBODY: Any = None
"""Nothing is done here."""


def profile(number: int, account_id: str) -> tuple[bytes, bytes]:
    fields = {"name": NAMES[number % 5], "size": "SME"[number % 3], "csm": f"csm{number % 2}"}
    fields |= {"stage": "growing", "plan": "pro" if number else "free"}
    return event(f"p{number}", START_MS, type="account.updated", account_id=account_id,
                 properties=fields)  # fmt: skip


@pytest_asyncio.fixture
async def client(database_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """30 accounts on three partitions; many have the same score, some have none."""
    engine = database.create(database_url)
    accounts = [*IDS, *(f"account-{number:02}" for number in range(25))]
    for partition in range(3):
        async with transaction(engine) as connection:
            held = await claim(connection, "scoring", partition, "log-1", "me")
            state = State(partition, 7)
            records = [config(document()), tick(START_MS)]
            for number, account_id in enumerate(accounts):
                if number % 3 == partition:
                    records.append(profile(number, account_id))
                    records += [
                        event(f"e{number}-{at}", START_MS, account_id=account_id, user_id=f"u{at}")
                        for at in range(number % 4)
                    ]
            records += [tick(START_MS + DAY_MS), tick(START_MS + 40 * DAY_MS)]
            raw = [RawRecord(offset, *record) for offset, record in enumerate(records)]
            effects = advance(state, decode(raw, state), lambda _, home=partition: home)  # type: ignore[misc]
            await save(connection, held, len(raw), rows_of(state, effects))
    async with await callers.client(create_app(engine, Keyring(engine), NOBODY), engine) as made:
        yield made
    await engine.dispose()


async def whole(client: httpx2.AsyncClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {**query, "cursor": cursor} if cursor else query
        answer = await client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        found += answer.json()["data"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 30])
@pytest.mark.parametrize("sort", ["score", "-score", "change_7d", "change_28d", "account_id"])
async def test_pages_neither_skip_nor_repeat(
    client: httpx2.AsyncClient, sort: str, limit: int
) -> None:
    found = await whole(client, "/v1/accounts", sort=sort, limit=limit)
    ids = [account["account_id"] for account in found]
    assert len(ids) == len(set(ids)) == 30
    key = sort.removeprefix("-")
    sign = -1 if sort.startswith("-") else 1
    values = [account[key] for account in found]
    known = [value for value in values if value is not None]
    assert values[: len(known)] == known, "what is unknown comes last"
    if key != "account_id":
        order = [
            (value is None, sign * (value or 0), identity.encode())
            for value, identity in zip(values, ids, strict=True)
        ]
        assert order == sorted(order)
    else:
        assert ids == sorted(ids, key=str.encode)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"size": "S"}, 10),
        ({"csm": "csm1"}, 15),
        ({"stage": "growing"}, 30),
        ({"plan": "free"}, 1),
        ({"size": "S", "csm": "csm1"}, 5),
        ({"size": "nothing"}, 0),
        ({"q": "ANN &"}, 6),
        ({"q": "0% o"}, 6),
        ({"q": "%"}, 6),
        ({"q": "r_s"}, 6),
        ({"q": "_"}, 6),
        ({"q": "k\\s"}, 6),
        ({"q": "zoë"}, 6),
        ({"q": "ACCOUNT-1"}, 10),
        ({"q": "会社"}, 1),
        ({"q": "ÜNÏCODE"}, 1),
        ({"csm": "' OR '1'='1"}, 0),
        ({"q": "'; DROP TABLE"}, 1),
    ],
)
async def test_filters(client: httpx2.AsyncClient, query: dict[str, str], count: int) -> None:
    assert len(await whole(client, "/v1/accounts", limit=4, **query)) == count


async def test_no_index_of_health_moves_with_a_score(database_url: str) -> None:
    """docs/decisions/0009: an update that changes an indexed column writes every index anew."""
    engine = database.create(database_url)
    async with database.snapshot(engine) as connection:
        found = await connection.execute(
            text(
                "SELECT pg_get_indexdef(indexrelid) FROM pg_index"
                " WHERE indrelid = 'scoring.health'::regclass"
            )
        )
        indexed = {definition.partition(" USING btree ")[2] for (definition,) in found}
    await engine.dispose()
    assert indexed == {"(account_id)", "(partition, account_no)", "(((profile ->> 'csm'::text)))"}


async def test_several_bands_are_one_list_the_worst_first(client: httpx2.AsyncClient) -> None:
    listed = await whole(client, "/v1/accounts")
    bands = ["critical", "at_risk"]
    found = await whole(client, "/v1/accounts", band=bands)
    assert found == [account for account in listed if account["band"] in bands]


async def test_an_unknown_band_is_told_apart_from_an_empty_one(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/accounts", params={"band": ["critical", "bad"]})
    assert (answer.status_code, answer.headers["content-type"]) == (422, BAD)
    bands = "healthy, watch, at_risk, critical"
    assert answer.json()["message"] == f"'bad' is no band; there are: {bands}."


async def test_every_band_lists_its_accounts_as_health_records(client: httpx2.AsyncClient) -> None:
    listed = await whole(client, "/v1/accounts")
    for band in ("healthy", "watch", "at_risk", "critical"):
        found = await whole(client, "/v1/accounts", band=band)
        assert found == [account for account in listed if account["band"] == band]
    one = await client.get(f"/v1/accounts/{listed[0]['account_id']}")
    assert one.json() == listed[0]
    assert list(one.json())[:3] == ["account_id", "as_of", "sequence"]


@pytest.mark.parametrize("account_id", IDS)
async def test_any_id_can_be_asked_for(client: httpx2.AsyncClient, account_id: str) -> None:
    path = f"/v1/accounts/{quote(account_id, safe='')}"
    assert (await client.get(path)).json()["account_id"] == account_id
    assert len((await client.get(f"{path}/history", params={"limit": 500})).json()["data"]) == 40


async def test_a_history_has_a_row_for_every_day_whatever_the_pages(
    client: httpx2.AsyncClient,
) -> None:
    path = "/v1/accounts/acme/history"
    days = await whole(client, path, limit=500)
    assert [day["day"] for day in days] == [f"2024-10-{day:02}" for day in range(4, 32)] + [
        f"2024-11-{day:02}" for day in range(1, 13)
    ]
    assert set(days[0]) == {
        "day", "score", "band", "coverage", "stale", "scorecard", "revision",
    }  # fmt: skip
    for limit in (1, 3, 40):
        assert await whole(client, path, limit=limit) == days
    some = await whole(client, path, limit=3, **{"from": "2024-10-10", "to": "2024-10-20"})
    assert some == days[6:17]
    assert await whole(client, path, **{"from": "2031-01-01"}) == []
    assert await whole(client, path, **{"from": "2024-10-20", "to": "2024-10-10"}) == []
    assert await whole(client, path, limit=500, **{"from": "0001-01-01"}) == days


OF_NO_RANK = write_cursor({"rank": 10**12, "user_id": "u"})
OF_NUL = write_cursor({"rank": 1, "user_id": "\0"})


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/accounts/nobody", 404, "unknown_account"),
        ("/v1/accounts/nobody/history", 404, "unknown_account"),
        ("/v1/accounts/a%00b", 422, "invalid_request"),
        ("/v1/accounts?q=a%00b", 422, "invalid_request"),
        ("/v1/accounts?limit=0", 422, "invalid_request"),
        ("/v1/accounts?limit=501", 422, "invalid_request"),
        ("/v1/accounts?sort=name", 422, "invalid_request"),
        ("/v1/accounts?colour=red", 422, "invalid_request"),
        ("/v1/accounts?cursor=***", 400, "bad_cursor"),
        ("/v1/accounts?cursor=e30", 400, "bad_cursor"),
        ("/v1/accounts/acme/history?from=yesterday", 422, "invalid_request"),
        ("/v1/accounts/acme/history?until=2024-01-01", 422, "invalid_request"),
        ("/v1/accounts/acme/history?cursor=eyJkYXkiOjk5OTk5OTk5OTk5fQ", 400, "bad_cursor"),
        (f"/v1/accounts/acme/users?cursor={OF_NO_RANK}", 400, "bad_cursor"),
        (f"/v1/accounts/acme/users?cursor={OF_NUL}", 400, "bad_cursor"),
        ("/v1/nothing", 404, "not_found"),
        ("/v1/accounts/a/b", 404, "not_found"),
    ],
)
async def test_what_is_wrong_is_answered_as_a_problem(
    client: httpx2.AsyncClient, path: str, status: int, code: str
) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, BAD)
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["message"] == body["detail"]


async def test_another_method_is_a_problem_too(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/accounts")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


async def test_a_database_that_is_away_is_503(database_url: str) -> None:
    engine = database.create(
        make_url(database_url).set(database="gone").render_as_string(hide_password=False)
    )
    kept = database.create(database_url)
    app = create_app(engine, Keyring(kept), NOBODY)
    async with await callers.client(app, kept) as client:
        answer = await client.get("/v1/accounts")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "5"
    await kept.dispose()
    await engine.dispose()


async def test_partitions_tell_where_they_stand(client: httpx2.AsyncClient) -> None:
    found = await whole(client, "/v1/partitions")
    assert [(one["partition"], one["accounts"], one["mode"]) for one in found] == [
        (number, 10, "history") for number in range(3)
    ]


async def test_the_description_names_every_route(client: httpx2.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert set(paths) == {
        "/v1/accounts",
        "/v1/accounts/{account_id}",
        "/v1/accounts/{account_id}/close",
        "/v1/accounts/{account_id}/history",
        "/v1/accounts/{account_id}/override",
        "/v1/accounts/{account_id}/reopen",
        "/v1/accounts/{account_id}/success-map",
        "/v1/accounts/{account_id}/users",
        "/v1/matrix",
        "/v1/partitions",
        "/v1/sources",
        "/v1/users/{user_id}",
    }


PARTS: dict[str, Any] = {
    "matrix": {
        "x": {"title": "users", "metric": "users", "levels": [1, 2]},
        "y": {"title": "silence", "metric": "silent", "levels": [5]},
        "actions": {
            "wait": {"text": "Wait."},
            "sell": {"text": "Sell.", "upsell": True, "otherwise": "wait"},
        },
        "cells": [
            [{"stage": "starting"}, {"stage": "growing"}, {"stage": "expanding", "action": "sell"}],
            [{"stage": "starting"}, {"stage": "growing", "action": "wait"}, {"stage": "growing"}],
        ],
    },
    "onboarding": {"milestones": [{"id": "kickoff", "title": "Met", "due": "7d"}]},
    "success_map": {
        "problems": [
            {"id": "no_goal", "title": "No goal", "who": "us", "does": "Ask."},
            {"id": "no_data", "title": "No data", "who": "them", "does": "Send."},
        ]
    },
}


@pytest_asyncio.fixture
async def successful(database_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """12 accounts: 3 without a user, 3 of one, 6 of more; every fourth is in its onboarding."""
    engine = database.create(database_url)
    records = [config(document() | PARTS), tick(START_MS)]
    for number in range(12):
        account_id = f"account-{number:02}"
        fields: dict[str, Any] = {"size": "SM"[number % 2]}
        if number % 4 == 1:
            fields["onboarding_started_on"] = iso_day(START_MS // DAY_MS)
        records.append(
            event(f"p{number}", START_MS, type="account.updated", account_id=account_id,
                  properties=fields)
        )  # fmt: skip
        records += [
            event(f"e{number}-{at}", START_MS, account_id=account_id, user_id=f"u{at}")
            for at in range(number % 4)
        ]
    for problem, status in (("no_data", "solved"), ("odd", "open"), ("no_data", "wrong")):
        told = {"problem": problem, "status": status}
        records.append(
            event(f"{problem}-{status}", START_MS + 1, type="problem.updated",
                  account_id="account-01", properties=told)
        )  # fmt: skip
    records.append(tick(START_MS + 3_600_000))
    async with transaction(engine) as connection:
        held = await claim(connection, "scoring", 0, "log-1", "me")
        state = State(0, 7)
        raw = [RawRecord(offset, *record) for offset, record in enumerate(records)]
        effects = advance(state, decode(raw, state), lambda _: 0)
        await save(connection, held, len(raw), rows_of(state, effects))
    async with await callers.client(create_app(engine, Keyring(engine), NOBODY), engine) as made:
        yield made
    await engine.dispose()


async def test_the_matrix_counts_the_accounts_of_each_cell(
    successful: httpx2.AsyncClient,
) -> None:
    body = (await successful.get("/v1/matrix")).json()
    cells = {(cell["x"], cell["y"]): cell for cell in body["data"]}
    assert len(cells) == 6
    assert {at: cell["accounts"] for at, cell in cells.items() if cell["accounts"]} == {
        (1, 0): 3,
        (2, 0): 6,
    }
    assert (body["unknown"], body["x"]["levels"]) == (3, [1, 2])
    assert sum(cells[2, 0]["suggested"].values()) == 6
    assert [action["id"] for action in body["actions"]] == ["wait", "sell"]
    some = (await successful.get("/v1/matrix", params={"size": "S"})).json()
    assert sum(cell["accounts"] for cell in some["data"]) + some["unknown"] == 6


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"matrix_stage": "growing"}, 3),
        ({"matrix_stage": "expanding", "size": "S"}, 3),
        ({"matrix_x": 2, "matrix_y": 0}, 6),
        ({"matrix_x": 0}, 3),
        ({"onboarding": "running"}, 3),
        ({"onboarding": "failed"}, 0),
    ],
)
async def test_accounts_are_found_by_cell_and_onboarding(
    successful: httpx2.AsyncClient, query: dict[str, Any], count: int
) -> None:
    assert len(await whole(successful, "/v1/accounts", limit=2, **query)) == count


async def test_a_success_map_says_how_each_problem_stands_and_who_does_what(
    successful: httpx2.AsyncClient,
) -> None:
    body = (await successful.get("/v1/accounts/account-01/success-map")).json()
    found = [(one["problem"], one["status"], one["who"]) for one in body["data"]]
    assert found == [("no_goal", None, "us"), ("no_data", "solved", "them"), ("odd", "open", None)]
    assert body["data"][1]["updated_at"] == iso_time(START_MS + 1)
    answer = await successful.get("/v1/accounts/nobody/success-map")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_account")


async def test_without_a_matrix_there_is_none_to_count(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/matrix")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_matrix")
