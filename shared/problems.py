"""What all HTTP APIs share: errors as RFC 9457 problems, pages of lists, ids in paths."""

import base64
import binascii
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, StringConstraints
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.database import LOST
from shared.http_requests import HttpRequests
from shared.runtime import log

LIMIT_DEFAULT = 50
LIMIT_MAX = 500
WITHOUT_NUL = r"^[^\x00]*$"
"""What a text from outside must match that goes to the database."""

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]
Id = Annotated[str, InPath(pattern=WITHOUT_NUL)]
Text = Annotated[str, StringConstraints(pattern=WITHOUT_NUL)]

LOCKED = "55P03"
"""SQLSTATE: a lock was not to be had within `lock_timeout`."""
RETRY_AFTER = {"Retry-After": "5"}
"""The header of every 503."""

C = TypeVar("C")

NOT_JSON = "Send a JSON object, with the header content-type: application/json."


EXPECTED = {
    "missing": "is needed",
    "greater_than_equal": "is at least {ge:g}",
    "less_than_equal": "is at most {le:g}",
    "literal_error": "is one of: {expected}",
    "string_too_short": "has {min_length} or more characters",
    "string_too_long": "has at most {max_length} characters",
    "string_pattern_mismatch": "may hold no NUL",
    "string": "is a text",
    "int": "is a whole number",
    "float": "is a number",
    "finite": "is a number",
    "bool": "is true or false",
    "date": "is a day, as 2026-01-31",
    "datetime": "is a time with its zone, as 2026-01-31T00:00:00Z",
    "timezone": "is a time with its zone, as 2026-01-31T00:00:00Z",
}
"""What was expected, by the kind of fault or by its first word, as pydantic names them."""


class Problem(HTTPException):
    """What the caller of an API did wrong, or what is not there; becomes the answer."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code


def answer(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem as the HTTP answer."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
        "message": message,
    }
    return JSONResponse(body, status, headers, media_type="application/problem+json")


class Encoded(Convertor[str]):
    """An identifier in a path, still percent-encoded, so that it may hold a slash."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        """The identifier."""
        return unquote(value)

    def to_string(self, value: str) -> str:
        """Not needed: no route makes the address of another."""
        raise NotImplementedError


register_url_convertor("encoded", Encoded())


class EncodedPaths:
    """Lets an application find its routes by the path as it was sent, before decoding."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if raw_path := scope.get("raw_path"):
            scope = {**scope, "path": raw_path.decode("ascii", "replace")}
        await self.app(scope, receive, send)


def install(app: FastAPI) -> None:
    """Count requests, let `{id:encoded}` stand in paths, and answer every error as a problem."""
    app.add_middleware(HttpRequests)
    app.add_middleware(EncodedPaths)
    for kind in LOST:
        app.add_exception_handler(kind, _on_lost)
    app.add_exception_handler(Exception, _on_fault)

    @app.exception_handler(Problem)
    async def on_problem(_: Request, problem: Problem) -> JSONResponse:
        return answer(problem.status_code, problem.code, problem.detail, problem.headers)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        fault = error.errors()[0]
        if fault["type"] == "model_attributes_type" and fault["loc"] == ("body",):
            return answer(415, "not_json", NOT_JSON)
        return answer(422, "invalid_request", _said(fault))

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> JSONResponse:
        code = HTTPStatus(error.status_code).name.lower()
        unreadable = error.status_code == HTTPStatus.BAD_REQUEST  # a body that is not UTF-8
        detail = NOT_JSON if unreadable else str(error.detail)
        return answer(error.status_code, code, detail, error.headers)


def _said(fault: Mapping[str, Any]) -> str:
    """What is wrong with a request, in a sentence."""
    kind, (_, *place) = fault["type"], fault["loc"]
    if kind == "json_invalid":
        return f"The body is not valid JSON: {fault['ctx']['error']}."
    if kind == "extra_forbidden":
        return f"{place[-1]!r} is not known here."
    name = ".".join(map(str, place)) or "The body"
    expected = EXPECTED.get(kind) or EXPECTED.get(kind.partition("_")[0])
    if expected is None:
        return f"{name}: {fault['msg']}."
    return f"{name} {expected.format(**fault.get('ctx', {}))}."


async def _on_lost(_: Request, error: Exception) -> JSONResponse:
    log.warning("request failed", why=str(error))
    message = "The database cannot be reached: try again later."
    if getattr(getattr(error, "orig", None), "sqlstate", None) == LOCKED:
        message = "Another is at work on this just now: try again in a few seconds."
    return answer(503, "unavailable", message, RETRY_AFTER)


async def _on_fault(_: Request, error: Exception) -> JSONResponse:
    return answer(500, "fault", "This is a fault of the service; its log says more.")


class PageChoice(BaseModel, extra="forbid"):
    """Which page of a list."""

    cursor: str | None = None
    limit: Limit = LIMIT_DEFAULT


def page(data: list[Any], next_cursor: str | None) -> dict[str, Any]:
    """A list as every API answers it."""
    return {"data": data, "next_cursor": next_cursor}


def write_cursor(place: Any) -> str:
    """Where a list goes on, as an opaque text."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_cursor(cursor: str | None, kind: type[C]) -> C | None:
    """The place that a cursor names. Raises Problem for one that is not ours."""
    if cursor is None:
        return None
    try:
        place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        if rb"\u0000" in place:
            raise ValueError("no list has a NUL")
        return msgspec.json.decode(place, type=kind)
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise Problem(400, "bad_cursor", "cursor: pass on the next_cursor of a list.") from None
