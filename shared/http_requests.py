"""Every request to an HTTP API: timed and counted by its route, with an id that the logs name."""

import re
import secrets
import time

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import metrics

ID_HEADER = "x-request-id"
ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
OTHER = "other"
"""The label of a method that is none, or of a path without a route: both are the caller's words."""


class HttpRequests:
    """Wraps an application. The id is the caller's `X-Request-Id`, or a new one; it is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 500  # what is answered, by others, when the application raises
        request_id = _id_of(scope)
        # The context is the request's own task: what is logged of it, wherever, has the id.
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[ID_HEADER] = request_id
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            metrics.HTTP_SECONDS.labels(
                method=scope["method"] if scope["method"] in METHODS else OTHER,
                route=getattr(scope.get("route"), "path", OTHER),
                status=str(status),
            ).observe(time.perf_counter() - begun)


def _id_of(scope: Scope) -> str:
    given = dict(scope["headers"]).get(ID_HEADER.encode(), b"").decode("latin-1")
    return given if ID.fullmatch(given) else secrets.token_hex(8)
