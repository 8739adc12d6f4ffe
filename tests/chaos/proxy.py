"""A TCP proxy that fails on purpose: slow, cut, silent in one direction, or at a COMMIT."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from tests.processes import passes

Direction = Literal["request", "reply"]
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: a socket that is closed so sends RST instead of FIN."""

CHUNK = 65_536
STARTUP_HEAD, HEAD = 4, 5
"""What PostgreSQL's messages begin with: a length, and before it, but for the first, a type."""


class Proxy:
    """Stands before `upstream`: "host:port", or the path of a Unix socket."""

    def __init__(self, upstream: str = "", *, speaks_postgres: bool = False) -> None:
        self.upstream = upstream
        self.speaks_postgres = speaks_postgres
        self.address = ""
        self.delay_seconds = 0.0
        self.bytes_per_second: float | None = None
        self.commits_cut: dict[Direction, int] = {"request": 0, "reply": 0}
        """How many COMMITs more are cut: before the server gets it, or after it did it."""
        self.cuts: dict[Direction, int] = {"request": 0, "reply": 0}
        self.flowing: dict[Direction, asyncio.Event] = {
            "request": asyncio.Event(),
            "reply": asyncio.Event(),
        }
        self.open: set[asyncio.StreamWriter] = set()
        self.heal()

    def heal(self) -> None:
        """Everything flows again; what is cut stays cut."""
        self.delay_seconds, self.bytes_per_second = 0.0, None
        self.commits_cut = {"request": 0, "reply": 0}
        for flowing in self.flowing.values():
            flowing.set()

    def block(self, *directions: Direction) -> None:
        """Let nothing through any more: both directions are a black hole, one a half-open one."""
        for direction in directions:
            self.flowing[direction].clear()

    def reset(self) -> None:
        """Cut all connections, by RST."""
        for writer in list(self.open):
            _reset(writer)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        try:
            server_reader, server_writer = await self._connect()
        except OSError:
            _reset(writer)
            return
        self.open |= {writer, server_writer}
        try:
            pipes = {
                asyncio.create_task(self._pipe("request", reader, server_writer)),
                asyncio.create_task(self._pipe("reply", server_reader, writer)),
            }
            _, left = await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
            for pipe in left:
                pipe.cancel()
            await asyncio.gather(*pipes, return_exceptions=True)
        finally:
            self.open -= {writer, server_writer}
            for one in (writer, server_writer):
                _reset(one)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.upstream.startswith("/"):
            return await asyncio.open_unix_connection(self.upstream)
        host, _, port = self.upstream.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _pipe(
        self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        waiting, head = b"", STARTUP_HEAD if direction == "request" else HEAD
        while chunk := await reader.read(CHUNK):
            await passes(self.delay_seconds)
            if self.bytes_per_second:
                await passes(len(chunk) / self.bytes_per_second)
            await self.flowing[direction].wait()
            waiting += chunk
            while whole := len(waiting) if not self.speaks_postgres else _first(waiting, head):
                message, waiting, head = waiting[:whole], waiting[whole:], HEAD
                if self.speaks_postgres and self._cuts(direction, message):
                    return
                writer.write(message)
            await writer.drain()

    def _cuts(self, direction: Direction, message: bytes) -> bool:
        """Whether here is the COMMIT that is to fail: the caller never learns what became of it."""
        sign = b"QCOMMIT;\0" if direction == "request" else b"CCOMMIT\0"
        if not self.commits_cut[direction] or message[:1] + message[HEAD:] != sign:
            return False
        self.commits_cut[direction] -= 1
        self.cuts[direction] += 1
        return True


def _first(waiting: bytes, head: int) -> int:
    """The length of the first message of PostgreSQL's protocol; 0 while it is not whole."""
    if len(waiting) < head:
        return 0
    length = int.from_bytes(waiting[head - 4 : head]) + head - 4
    return length if len(waiting) >= length else 0


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection.family == socket.AF_INET and not writer.transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


@asynccontextmanager
async def proxying(upstream: str = "", *, speaks_postgres: bool = False) -> AsyncIterator[Proxy]:
    """A proxy on a port of its own; `upstream` may be named later, and changed."""
    proxy = Proxy(upstream, speaks_postgres=speaks_postgres)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.reset()
