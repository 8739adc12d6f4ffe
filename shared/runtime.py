"""What surrounds a process: the clock, its ports, signals, and how it ends.

The only place that reads the wall clock, and the only one that catches everything.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h11
import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared import logs, metrics, rehearsal
from shared.operations import Readiness, serve_operations

LOOPBACK = "127.0.0.1"
STOP_GRACE_SECONDS = 25
STOP_HARD_SECONDS = 30
BEAT_SECONDS = 1.0
HEAD_SECONDS_MAX = 10
"""Of a request, for its head to come: a connection that only drips is closed."""

REQUEST_SECONDS_MAX = 30
"""For its body as well, also where it was answered before anybody read that."""

CLOCK_FILE = os.environ.get("MYAKU_CLOCK_FILE")
"""For tests and rehearsals only: a file that holds the time, in milliseconds since 1970."""

log = structlog.get_logger()


class UserError(Exception):
    """Something that the person who started this can put right; the text is one sentence."""


def now_ms() -> int:
    """Wall time in milliseconds since 1970, UTC; or what CLOCK_FILE says. Raises UserError."""
    if CLOCK_FILE is None:
        return time.time_ns() // 1_000_000
    try:
        return int(Path(CLOCK_FILE).read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise UserError(f"MYAKU_CLOCK_FILE: no milliseconds in {CLOCK_FILE}: {error}.") from None


class Running:
    """The process as its main function sees it."""

    def __init__(self, readiness: Readiness) -> None:
        self.stop = asyncio.Event()
        self.readiness = readiness

    async def pause(self, seconds: float) -> bool:
        """Wait, but not longer than until the process is to stop. Whether it is to stop."""
        try:
            await asyncio.wait_for(self.stop.wait(), seconds)
        except TimeoutError:
            return False
        return True


Main = Callable[[Running], Coroutine[Any, Any, None]]


def run(
    main: Main,
    *,
    log_format: str,
    log_level: str,
    operations: socket.socket,
    parent_fd: int | None,
) -> int:
    """Run a service until it ends or is told to. The exit status: 0, or 1 with a sentence."""
    logs.configure(log_format, log_level)
    if CLOCK_FILE is not None:
        log.warning("the clock is driven: for tests and rehearsals only", file=CLOCK_FILE)
    if rehearsal.FAIL_AT:
        log.warning("this process fails: for tests and rehearsals only", at=rehearsal.FAIL_AT)
    readiness = Readiness()
    serve_operations(operations, readiness)
    deadline = threading.Timer(STOP_HARD_SECONDS, os._exit, (1,))
    deadline.daemon = True
    try:
        asyncio.run(_main(main, readiness, parent_fd, deadline))
    except (Exception, BaseExceptionGroup) as error:
        return _explain(error)
    return 0


def _explain(error: BaseException) -> int:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, UserError):
        print(error, file=sys.stderr)
    else:
        log.error("stopped by a fault", exc_info=error)
    return 1


async def _beat(readiness: Readiness) -> None:
    while True:
        readiness.turned_at = time.monotonic()
        await asyncio.sleep(BEAT_SECONDS)
        late_seconds = time.monotonic() - readiness.turned_at - BEAT_SECONDS
        metrics.LOOP_DELAY.observe(max(0.0, late_seconds))


async def _main(
    main: Main, readiness: Readiness, parent_fd: int | None, deadline: threading.Timer
) -> None:
    running = Running(readiness)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.stop.set)
    if parent_fd is not None:
        loop.add_reader(parent_fd, _parent_said, loop, parent_fd, running)
    work = asyncio.create_task(main(running))
    stop = asyncio.create_task(running.stop.wait())
    beat = asyncio.create_task(_beat(readiness))
    await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    readiness.wait("stop", "the process ends")
    stop.cancel()
    beat.cancel()
    deadline.start()
    _, late = await asyncio.wait({work}, timeout=STOP_GRACE_SECONDS)
    if late:
        log.warning("cut short", after_seconds=STOP_GRACE_SECONDS)
        work.cancel()
        return
    await work


def _parent_said(loop: asyncio.AbstractEventLoop, parent_fd: int, running: Running) -> None:
    if not os.read(parent_fd, 64):
        loop.remove_reader(parent_fd)
        running.stop.set()


def listen(port: int, host: str = LOOPBACK) -> socket.socket:
    """A listening socket (port 0: any free one). Raises UserError where it is taken."""
    # Only of a socket that names its protocol does asyncio send small answers at once.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UserError(f"Port {port} on {host} cannot be used: {error.strerror}.") from None
    listener.listen(128)
    return listener


class _Connection(H11Protocol):
    """Closed when the head of a request, or its body, does not come in time, however it drips."""

    _impatience: asyncio.TimerHandle | None = None
    _awaited: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._mind()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._mind()

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def _mind(self) -> None:
        if self.conn.their_state is self._awaited:
            return
        self._calm()
        self._awaited = self.conn.their_state
        if seconds := {h11.IDLE: HEAD_SECONDS_MAX, h11.SEND_BODY: REQUEST_SECONDS_MAX}.get(
            self._awaited
        ):
            self._impatience = self.loop.call_later(seconds, self.transport.close)

    def _calm(self) -> None:
        if self._impatience:
            self._impatience.cancel()
            self._impatience = None


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the process has one place for that."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_http(app: Any, listener: socket.socket, running: Running) -> None:
    """Serve an ASGI application until the process is to stop. Raises UserError if it ends early."""
    config = uvicorn.Config(
        app, http=_Connection, log_config=None, lifespan="off", access_log=False
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stop = asyncio.create_task(running.stop.wait())
    try:
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
    finally:  # also when whatever else the process does has failed
        stop.cancel()
        server.should_exit = True
        await serving
    if not running.stop.is_set():
        raise UserError("The HTTP server ended by itself: start again.")
