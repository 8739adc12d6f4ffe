"""What every HTTP API bounds: the head of a request, and its body."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from fastapi import Request

from shared import http, runtime
from shared.operations import Readiness

NOBODY: Any = None


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[str, int]]:
    """An API that says how long a body was, and where it listens."""
    app = http.application("test", NOBODY, body_bytes_max=1000)

    @app.post("/length")
    async def length(request: Request) -> int:
        return len(await request.body())

    running = runtime.Running(Readiness())
    listener = runtime.listen(0)
    task = asyncio.create_task(runtime.serve_http(app, listener, running))
    try:
        yield listener.getsockname()
    finally:
        running.stop.set()
        await task


async def dripped(place: tuple[str, int], drop: bytes, *before: bytes) -> bytes:
    """What comes back while a drop is sent again and again, until the connection is closed."""
    reader, writer = await asyncio.open_connection(*place)
    for piece in before:
        writer.write(piece)
    answered = b""
    with suppress(ConnectionError):
        while not reader.at_eof():
            writer.write(drop)
            with suppress(TimeoutError):
                answered += await asyncio.wait_for(reader.read(1 << 16), 0.05)
    writer.close()
    return answered


HEAD = b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_head_that_drips_is_closed_also_after_a_good_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runtime, "HEAD_SECONDS_MAX", 0.3)
    async with serving() as place:
        assert await dripped(place, b"x", b"GET / HTTP/1.1\r\n") == b""
        answered = await dripped(place, b"x", HEAD % 3, b"abc", b"GET /")
        assert answered.count(b"HTTP/1.1 200 OK") == 1


async def test_a_body_that_drips_where_nobody_reads_it_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runtime, "REQUEST_SECONDS_MAX", 0.3)
    async with serving() as place:
        answered = await dripped(place, b"x", HEAD.replace(b"/length", b"/none") % 100_000)
        assert answered.startswith(b"HTTP/1.1 404 ")


async def test_when_something_else_fails_nobody_is_served_any_more() -> None:
    running = runtime.Running(Readiness())
    listener = runtime.listen(0)
    place = listener.getsockname()
    app = http.application("test", NOBODY)

    async def fail() -> None:
        _, writer = await asyncio.open_connection(*place)
        writer.close()
        raise RuntimeError

    async def both() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(runtime.serve_http(app, listener, running))
            tasks.create_task(fail())

    with pytest.raises(ExceptionGroup):
        await both()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(*place)


async def test_a_body_that_drips_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_SECONDS_MAX", 0.3)
    async with serving() as place:
        answered = await dripped(place, b"x", HEAD % 900)
        assert answered.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(("size", "status"), [(1000, b"200"), (1001, b"413"), (5_000_000, b"413")])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_has_a_limit_whether_announced_or_not(
    size: int, status: bytes, announced: bool
) -> None:
    async with serving() as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(HEAD % size if announced else CHUNKED + b"%x\r\n" % size)
        writer.write(bytes(size))
        writer.write(b"" if announced else b"\r\n0\r\n\r\n")
        answered = await reader.readuntil(b"\r\n\r\n")
        assert answered.startswith(b"HTTP/1.1 " + status)
        writer.close()


async def test_an_endless_body_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "DISCARDED_BYTES_MAX", 100_000)
    async with serving() as place:
        answered = await dripped(place, b"2000\r\n" + bytes(0x2000) + b"\r\n", CHUNKED)
        assert answered.startswith(b"HTTP/1.1 413 ")
