"""A webhook's receiver on loopback that answers by a script."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

SECRET = "whsec_" + base64.b64encode(b"a secret of the tests, 24+").decode()
OLDER = "whsec_" + base64.b64encode(b"an older one, of 24 bytes+").decode()


@dataclass
class Receiver:
    """What arrived: headers in small letters, and bodies. `script` is what it answers, in order.

    An answer is a status, "429 RETRY-AFTER", "reset" (closes without an answer) or "hang" (waits
    for `release`, then answers 200). When the script is over it answers 200.
    """

    script: list[int | str]
    address: str = ""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ids(self) -> list[str]:
        """The webhook-id of each request."""
        return [headers["webhook-id"] for headers, _ in self.requests]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.splitlines()[1:] if line)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((headers, body))
        self.arrived.set()
        answer = self.script.pop(0) if self.script else 200
        if answer == "hang":
            await self.release.wait()
        if answer != "reset":
            status, _, retry_after = str(200 if answer == "hang" else answer).partition(" ")
            more = f"retry-after: {retry_after}\r\n" if retry_after else ""
            more += "location: /elsewhere\r\n" if status == "302" else ""
            text = f"HTTP/1.1 {status} X\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n"
            writer.write(text.encode())
        writer.close()


@asynccontextmanager
async def receiving(*script: int | str) -> AsyncIterator[Receiver]:
    """A receiver with a script."""
    receiver = Receiver(list(script))
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield receiver
        receiver.release.set()


def webhook(receiver: Receiver, **others: Any) -> dict[str, Any]:
    """A destination."""
    return {"type": "webhook", "url": receiver.address, "secret": "secret://hook", **others}
