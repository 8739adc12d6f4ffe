"""Requests are counted by route and status, with an id that logs and answers share."""

from typing import Any

import httpx2
import pytest
import structlog
from fastapi import FastAPI
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from shared import problems
from shared.runtime import log


def application() -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.get("/v1/things/{thing_id:encoded}")
    async def thing(thing_id: str) -> dict[str, Any]:
        log.info("looked at", thing=thing_id)
        if thing_id == "fault":
            raise ZeroDivisionError
        if thing_id == "none":
            raise problems.Problem(404, "unknown_thing", "There is no such thing.")
        return {"id": thing_id}

    return app


async def ask(method: str, path: str, **headers: str) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=application(), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, headers=headers)


def counted(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    name = "myaku_http_request_duration_seconds_count"
    return REGISTRY.get_sample_value(name, labels) or 0


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/v1/things/a", "/v1/things/{thing_id:encoded}", 200),
        ("GET", "/v1/things/b%2Fc", "/v1/things/{thing_id:encoded}", 200),
        ("GET", "/v1/things/none", "/v1/things/{thing_id:encoded}", 404),
        ("GET", "/v1/things/fault", "/v1/things/{thing_id:encoded}", 500),
        ("POST", "/v1/things/a", "/v1/things/{thing_id:encoded}", 405),
        ("GET", "/wp-login.php", "other", 404),
        ("BREW", "/coffee", "other", 404),
    ],
)
async def test_a_request_is_counted_by_its_route(
    method: str, path: str, route: str, status: int
) -> None:
    label = method if method != "BREW" else "other"
    before = counted(label, route, status)
    answer = await ask(method, path)
    assert answer.status_code == status
    assert counted(label, route, status) == before + 1


@pytest.mark.parametrize("given", ["4711", "a.b-c_d", "x" * 64])
async def test_the_callers_request_id_is_used(given: str) -> None:
    answer = await ask("GET", "/v1/things/a", **{"x-request-id": given})
    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "a;b"])
async def test_what_is_no_request_id_is_replaced(given: str) -> None:
    answer = await ask("GET", "/v1/things/a", **{"x-request-id": given})
    assert len(answer.headers["x-request-id"]) == 16


async def test_what_is_logged_of_a_request_has_its_id() -> None:
    with capture_logs([structlog.contextvars.merge_contextvars]) as said:
        await ask("GET", "/v1/things/a", **{"x-request-id": "4711"})
    assert [(each["event"], each["request_id"]) for each in said] == [("looked at", "4711")]
