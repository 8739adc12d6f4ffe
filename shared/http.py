"""An HTTP API as every service has one: keys, problems, a bounded body, `/openapi.json`."""

import asyncio

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import problems
from shared.access import Keyring
from shared.problems import Problem

BODY_BYTES_MAX = 64 * 1024
"""Of a request that somebody writes by hand."""

BODY_SECONDS_MAX = 20
DISCARDED_BYTES_MAX = 32 * 1024 * 1024
"""What is too large is still read up to here: few clients hear an answer before they are done."""

CLOSE = {"Connection": "close"}
"""What was not read of a body is not waited for."""


def application(title: str, keyring: Keyring, body_bytes_max: int = BODY_BYTES_MAX) -> FastAPI:
    """An application without routes; each route says what it needs by `shared.access.Needs`."""
    app = FastAPI(
        title=f"Myaku {title}",
        version="1",
        docs_url=None,  # its page would load its scripts from elsewhere
        redoc_url=None,
        strict_content_type=False,
    )
    app.state.keyring = keyring
    app.add_middleware(BoundedBody, body_bytes_max=body_bytes_max)
    problems.install(app)
    return app


class BoundedBody:
    """Ends a request whose body is too large, or does not come in time, with a problem."""

    def __init__(self, app: ASGIApp, body_bytes_max: int) -> None:
        self.app = app
        self.body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            receive = _Body(receive, self.body_bytes_max).receive
        await self.app(scope, receive, send)


class _Body:
    """A body on its way in."""

    def __init__(self, receive: Receive, bytes_max: int) -> None:
        self._receive = receive
        self._bytes_max = bytes_max
        self._received_bytes = 0
        self._ends_at = asyncio.get_running_loop().time() + BODY_SECONDS_MAX
        self._complete = False

    async def receive(self) -> Message:
        """The next piece; behind the last one, whatever the server says. Raises Problem."""
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._ends_at):
                message = await self._next()
                if self._received_bytes <= self._bytes_max:
                    return message
                while not self._complete and self._received_bytes < DISCARDED_BYTES_MAX:
                    await self._next()
        except TimeoutError:
            text = f"The body did not come within {BODY_SECONDS_MAX} seconds."
            raise Problem(408, "slow_body", text, CLOSE) from None
        raise too_large(self._bytes_max)

    async def _next(self) -> Message:
        message = await self._receive()
        self._complete = not message.get("more_body", False)
        self._received_bytes += len(message.get("body", b""))
        return message


def too_large(body_bytes_max: int) -> Problem:
    """The body is over the limit."""
    message = f"A body has at most {body_bytes_max} bytes, also when inflated: send less at once."
    return Problem(413, "too_large", message, CLOSE)
