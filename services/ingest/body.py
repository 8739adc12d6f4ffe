"""The body of a request: read within a deadline, inflated within a limit."""

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request
from starlette.requests import ClientDisconnect

from shared.http import CLOSE, too_large
from shared.problems import Problem

BODY_BYTES_MAX = 5 * 1024 * 1024
"""As it is sent, and as it is when inflated."""

INFLATE_BYTES = 64 * 1024
GZIP = 16 + zlib.MAX_WBITS


class Budget:
    """How many bytes of bodies may be in hand at once, over all requests."""

    def __init__(self, bytes_max: int) -> None:
        self.left = bytes_max

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """What one request takes of it; given back at the end, or when its sending has ended."""
        share = Share(self)
        try:
            yield share
        finally:
            if share.sending and not share.sending.done():
                share.sending.add_done_callback(share.give_back)
            else:
                share.give_back()


class Share:
    """What one request has taken."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0
        self.sending: asyncio.Task[None] | None = None

    def take(self, size: int) -> None:
        """Take so many bytes more. Raises Problem 503 where there are not so many left."""
        if size > self._budget.left:
            headers = {"Retry-After": "1", **CLOSE}
            raise Problem(503, "busy", "Too much is being received: try again.", headers)
        self._budget.left -= size
        self._taken += size

    def give_back(self, _: object = None) -> None:
        """All of it is free again."""
        self._budget.left += self._taken


async def read_body(request: Request, share: Share) -> bytes:
    """The body, inflated. Raises Problem 400, 413, 415 or 503."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", "deflate", ""):
        message = f"Content-Encoding {encoding!r}: send gzip, deflate or none."
        raise Problem(415, "bad_encoding", message)
    sent = bytearray()
    try:
        async for chunk in request.stream():
            share.take(len(chunk))
            sent += chunk
    except ClientDisconnect:
        raise Problem(400, "gone", "The caller went away.") from None
    if encoding in ("identity", ""):
        return bytes(sent)
    return _inflate(bytes(sent), zlib.MAX_WBITS if encoding == "deflate" else GZIP, share)


def _inflate(sent: bytes, window_bits: int, share: Share) -> bytes:
    """Never more than the limit in memory, whatever a small body claims to hold."""
    inflated = bytearray()
    rest = sent
    try:
        while rest:  # one gzip file may stand behind another
            inflater = zlib.decompressobj(window_bits)
            while not inflater.eof:
                piece = inflater.decompress(rest, INFLATE_BYTES)
                share.take(len(piece))
                inflated += piece
                rest = inflater.unconsumed_tail
                if len(inflated) > BODY_BYTES_MAX:
                    raise too_large(BODY_BYTES_MAX)
                if not piece and not rest and not inflater.eof:
                    raise Problem(400, "bad_encoding", "The compressed body ends too early.")
            rest = inflater.unused_data
    except zlib.error as error:
        message = f"The body is not what its Content-Encoding says: {error}."
        raise Problem(400, "bad_encoding", message) from None
    return bytes(inflated)
