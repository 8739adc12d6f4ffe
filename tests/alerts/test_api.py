"""The HTTP API over a real database."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.api import create_app
from shared import database
from shared.access import Keyring
from tests import callers
from tests.alerts.rows import claimed, nobody, records
from tests.alerts.world import AT_ONCE, config, health, tick

SHAPE = {
    "id",
    "rule",
    "account_id",
    "subject",
    "episode",
    "state",
    "handling",
    "severity",
    "owner",
    "score",
    "title",
    "reasons",
    "play",
    "opened_at",
    "resolved_at",
    "resolved_by",
}


@pytest_asyncio.fixture
async def client(database_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """The API over five accounts: a0 resolved, a1 critical, a2 … a4 warning; a4 has no owner."""
    engine: AsyncEngine = database.create(database_url)
    worker, _ = await claimed(engine)
    raw = [config(AT_ONCE), tick(0), tick(0)]
    for number, score in enumerate((55, 35, 55, 55, 55)):
        others: dict[str, Any] = {"profile": {}} if number == 4 else {}
        raw.append(health(number, score, 1, f"a{number}", **others))
    raw += [health(5, 70, 2, "a0"), tick(6)]
    await worker.handle(0, records(raw))
    app = create_app(engine, Keyring(engine), deliver_history=False, wake=nobody)
    async with await callers.client(app, engine) as opened:
        yield opened
    await engine.dispose()


async def listed(client: httpx2.AsyncClient, query: str = "") -> list[str]:
    answer = await client.get(f"/v1/alerts{query}")
    assert answer.status_code == 200, answer.text
    return [alert["account_id"] for alert in answer.json()["data"]]


@pytest.mark.parametrize(
    ("query", "accounts"),
    [
        ("", ["a4", "a3", "a2", "a1"]),
        ("?state=resolved", ["a0"]),
        ("?state=pending", []),
        ("?severity=critical", ["a1"]),
        ("?owner=cs-ops", ["a4"]),
        ("?account_id=a2&rule=churn_risk", ["a2"]),
        ("?rule=another", []),
    ],
)
async def test_lists_are_filtered_and_open_unless_said_otherwise(
    client: httpx2.AsyncClient, query: str, accounts: list[str]
) -> None:
    assert await listed(client, query) == accounts


@pytest.mark.parametrize("path", ["alerts", "notifications"])
async def test_a_list_goes_on_where_its_cursor_says(client: httpx2.AsyncClient, path: str) -> None:
    whole = (await client.get(f"/v1/{path}")).json()["data"]
    seen: list[Any] = []
    cursor = None
    while cursor or not seen:
        query = f"?limit=3&cursor={cursor}" if cursor else "?limit=3"
        page = (await client.get(f"/v1/{path}{query}")).json()
        seen += page["data"]
        cursor = page["next_cursor"]
    assert seen == whole
    assert len(whole) > 3


async def test_an_alert_has_the_shape_of_the_contract_and_its_events(
    client: httpx2.AsyncClient,
) -> None:
    [alert] = (await client.get("/v1/alerts?severity=critical")).json()["data"]
    assert set(alert) == SHAPE
    assert alert["title"] == "Churn risk: Acme at 35"
    single = (await client.get(f"/v1/alerts/{alert['id']}")).json()
    assert {name: single[name] for name in SHAPE} == alert
    assert [(event["number"], event["what"]) for event in single["events"]] == [(1, "opened")]


async def test_acts_are_done_once_at_the_partitions_clock_and_kept(
    client: httpx2.AsyncClient,
) -> None:
    [alert] = (await client.get("/v1/alerts?account_id=a1")).json()["data"]
    where = f"/v1/alerts/{alert['id']}"
    after = await client.post(f"{where}/acknowledge", json={"by": "ana"})
    assert (after.status_code, after.json()["handling"]) == (200, "acked")
    again = await client.post(f"{where}/acknowledge", content=b'{"by": "bo"}')  # as curl -d
    assert (again.status_code, again.json()["code"]) == (409, "already_acknowledged")
    form = await client.post(f"{where}/close", data={"by": "bo"})  # as curl -d says it is
    assert (form.status_code, form.json()["code"]) == (415, "not_json")
    closing = {"by": "ana", "verdict": "saved", "note": "they renewed"}
    after = await client.post(f"{where}/close", json=closing)
    assert after.json()["state"] == "resolved"
    assert after.json()["resolved_by"] == "user"
    assert after.json()["resolved_at"] == "2026-03-02T15:00:00.000Z"
    for what, body in (("close", closing), ("acknowledge", {"by": "ana"})):
        again = await client.post(f"{where}/{what}", json=body)
        assert (again.status_code, again.json()["code"]) == (409, "alert_not_open")
    events = (await client.get(where)).json()["events"]
    assert [(event["what"], event["by"], event["reason"]) for event in events[1:]] == [
        ("acknowledged", "ana", ""),
        ("closed", "ana", "saved: they renewed"),
    ]
    notes = (await client.get(f"/v1/notifications?alert_id={alert['id']}")).json()["data"]
    assert sorted(note["kind"] for note in notes) == ["acknowledged", "closed", "opened"]
    assert {note["status"] for note in notes} == {"queued"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/v1/alerts/al_none", None, 404, "unknown_alert"),
        ("POST", "/v1/alerts/al_none/close", {"by": "a", "verdict": "known"}, 404, "unknown_alert"),
        ("POST", "/v1/alerts/al_none/close", {"by": "a"}, 422, "invalid_request"),
        ("POST", "/v1/alerts/x/close", {"by": "a", "verdict": "no"}, 422, "invalid_request"),
        ("POST", "/v1/alerts/al_none/acknowledge", {"by": " "}, 422, "invalid_request"),
        ("GET", "/v1/alerts?state=open", None, 422, "invalid_request"),
        ("GET", "/v1/alerts?colour=red", None, 422, "invalid_request"),
        ("GET", "/v1/alerts?limit=501", None, 422, "invalid_request"),
        ("GET", "/v1/alerts?rule=a%00b", None, 422, "invalid_request"),
        ("GET", "/v1/notifications?alert_id=a%00b", None, 422, "invalid_request"),
        ("GET", "/v1/notifications?cursor=%21", None, 400, "bad_cursor"),
        ("GET", "/v1/nothing", None, 404, "not_found"),
    ],
)
async def test_errors_are_problems(
    client: httpx2.AsyncClient, method: str, path: str, body: Any, status: int, code: str
) -> None:
    answer = await client.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
