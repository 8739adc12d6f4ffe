"""Errors of the HTTP APIs, as RFC 9457 problems, and the cursors of their lists."""

import base64
import binascii
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

LIMIT_DEFAULT = 50
LIMIT_MAX = 500
C = TypeVar("C")


class Problem(Exception):
    """What the caller of an API did wrong, or what is not there; becomes the answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def answer(status: int, code: str, message: str) -> JSONResponse:
    """A problem as the HTTP answer."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
        "message": message,
    }
    return JSONResponse(body, status, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Let every error of an application be answered as a problem."""

    @app.exception_handler(Problem)
    async def on_problem(_: Request, problem: Problem) -> JSONResponse:
        return answer(problem.status, problem.code, problem.message)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        return answer(422, "invalid_request", f"{where}: {fault['msg']}.")

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> JSONResponse:
        code = HTTPStatus(error.status_code).name.lower()
        return answer(error.status_code, code, str(error.detail))


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
        padded = cursor + "=" * (-len(cursor) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=kind)
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise Problem(400, "bad_cursor", "cursor: pass on the next_cursor of a list.") from None
