"""Every route of every API, walked with each access and with none."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.routing import BaseRoute

from services.alerts import api as alerts
from services.ingest import collector
from services.scoring import api as scoring
from services.scoring.acts import Acts
from shared import database
from shared.access import Access, Keyring, Needs, allows
from tests import callers

OPEN = {"/openapi.json"}
ACTS: dict[str, Any] = {
    "/v1/alerts/{alert_id}/acknowledge": {"by": "ana"},
    "/v1/alerts/{alert_id}/close": {"by": "ana", "verdict": "saved"},
    "/v1/accounts/{account_id:encoded}/override": {"score": 50, "reason": "we talked"},
    "/v1/accounts/{account_id:encoded}/close": {"reason": "merged"},
}


def apps(engine: AsyncEngine) -> list[FastAPI]:
    """The three APIs. What they would do is not reached: nothing that is asked for is there."""
    keyring = Keyring(engine)
    intake: Any = None
    producer: Any = None
    return [
        collector.create_app(keyring, intake, lambda: 0),
        scoring.create_app(engine, keyring, Acts(engine, producer, "secret", lambda: 0)),
        alerts.create_app(engine, keyring, deliver_history=False, wake=lambda: None),
    ]


def needs(dependant: Dependant) -> Iterator[Access]:
    """What a route and its dependencies demand."""
    if isinstance(dependant.call, Needs):
        yield dependant.call.access
    for inner in dependant.dependencies:
        yield from needs(inner)


def flat(some: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Routes, also those of the routers among them."""
    for route in some:
        router = getattr(route, "original_router", None)
        if router is None:
            yield route
        else:
            yield from flat(router.routes)


def routes(app: FastAPI) -> list[tuple[APIRoute, str, Access]]:
    """Every route and method that is not open to all, with what it needs."""
    found = []
    for route in flat(app.routes):
        if getattr(route, "path", "") in OPEN:
            continue
        assert isinstance(route, APIRoute), route
        demands = list(needs(route.dependant))
        assert len(demands) == 1, f"{route.path} must say by one Needs(…) what its caller may do"
        found += [(route, method, demands[0]) for method in sorted(route.methods or ())]
    return found


async def answer(client: httpx2.AsyncClient, route: APIRoute, method: str, text: str) -> int:
    path = route.path.replace("{account_id:encoded}", "nobody").replace("{alert_id}", "al_none")
    path = path.replace("{barrier_id}", "none").replace("{user_id:encoded}", "x" * 129)
    headers = callers.bearing(text) if text else {}
    given = await client.request(method, path, headers=headers, json=ACTS.get(route.path))
    if given.status_code >= 400:
        assert given.headers["content-type"] == "application/problem+json"
        assert given.json()["status"] == given.status_code
    if given.status_code == 401:
        assert given.headers["www-authenticate"].startswith("Bearer")
    return given.status_code


async def test_every_route_takes_those_who_may_and_nobody_else(database_url: str) -> None:
    engine = database.create(database_url)
    kinds: tuple[Access, ...] = ("write", "read", "act", "admin")
    keys = {access: await callers.key(engine, access) for access in kinds}
    walked: dict[str, Access] = {}
    for app in apps(engine):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://service") as client:
            for route, method, needed in routes(app):
                walked[f"{method} {route.path}"] = needed
                for text in ("", "myaku_admin_0_x", keys["admin"] + "x"):
                    assert await answer(client, route, method, text) == 401, route.path
                for held, text in keys.items():
                    status = await answer(client, route, method, text)
                    assert (status == 403) is not allows(held, needed), (route.path, held)
                    assert status != 401
    assert walked == {
        "POST /v1/events": "write",
        "GET /v1/accounts": "read",
        "GET /v1/accounts/{account_id:encoded}": "read",
        "GET /v1/accounts/{account_id:encoded}/history": "read",
        "GET /v1/accounts/{account_id:encoded}/success-map": "read",
        "GET /v1/matrix": "read",
        "PUT /v1/accounts/{account_id:encoded}/override": "act",
        "DELETE /v1/accounts/{account_id:encoded}/override": "act",
        "POST /v1/accounts/{account_id:encoded}/close": "act",
        "POST /v1/accounts/{account_id:encoded}/reopen": "act",
        "GET /v1/accounts/{account_id:encoded}/users": "read",
        "GET /v1/users/{user_id:encoded}": "read",
        "DELETE /v1/users/{user_id:encoded}": "admin",
        "GET /v1/partitions": "read",
        "GET /v1/sources": "read",
        "GET /v1/alerts": "read",
        "GET /v1/alerts/{alert_id}": "read",
        "POST /v1/alerts/{alert_id}/acknowledge": "act",
        "POST /v1/alerts/{alert_id}/close": "act",
        "GET /v1/notifications": "read",
        "GET /v1/barriers/{barrier_id}": "read",
    }
    await engine.dispose()


BASIC = {
    "key:": 422,
    "key:password": 422,
    "": 401,
    ":key": 401,
    "\u00fc:": 401,
}
"""Credentials, with `key` for one that may write: 422 stands for whatever comes behind the door."""


async def test_a_key_may_be_the_user_name_of_basic(database_url: str) -> None:
    engine = database.create(database_url)
    text = await callers.key(engine, "read")
    app = apps(engine)[1]
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as client:
        for given, expected in BASIC.items():
            encoded = b64encode(given.replace("key", text).encode()).decode()
            sent = {"Authorization": f"Basic {encoded}"}
            status = (await client.get("/v1/accounts?limit=0", headers=sent)).status_code
            assert status == expected, given
        for odd in (b"Basic \xe9\xe9", b"Basic ====", b"Basic", b"Digest x"):
            given_odd = [(b"Authorization", odd)]
            answer = await client.get("/v1/accounts", headers=given_odd)
            assert answer.status_code == 401, odd
    await engine.dispose()


@pytest.mark.parametrize("number", range(3))
async def test_what_an_api_is_can_be_read_by_all(database_url: str, number: int) -> None:
    engine = database.create(database_url)
    app = apps(engine)[number]
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://service"
    ) as client:
        described = await client.get("/openapi.json")
        assert described.status_code == 200
        for path in described.json()["paths"].values():
            for operation in path.values():
                assert operation["security"] == [{"HTTPBearer": []}]
        assert (await client.get("/docs")).status_code == 404
    await engine.dispose()
