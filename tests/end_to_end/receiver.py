"""A webhook receiver on loopback, as a customer would write one: it verifies, and keeps ids."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared.runtime import listen

SECRET = "whsec_bXlha3UgdGVzdHMgb2YgYSBzaWduZWQgd2ViaG9vaw=="


@dataclass
class Receiver:
    """What came in: every request in order, and each message once."""

    url: str = ""
    ids: list[str] = field(default_factory=list)
    messages: dict[str, Any] = field(default_factory=dict)

    async def take(self, request: Request) -> Response:
        """Verify one delivery, raising where the signature is wrong, and keep it."""
        body = await request.body()
        Webhook(SECRET).verify(body, dict(request.headers))
        self.ids.append(request.headers["webhook-id"])
        self.messages[request.headers["webhook-id"]] = json.loads(body)
        return Response(status_code=204)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that answers 204 to what it could verify."""
    receiver = Receiver()
    listener = listen(0)
    receiver.url = f"http://127.0.0.1:{listener.getsockname()[1]}/alerts"
    app = Starlette(routes=[Route("/alerts", receiver.take, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield receiver
    finally:
        server.should_exit = True
        await serving
