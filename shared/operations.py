"""What a process tells about itself: that it lives, what it waits for, its metrics."""

import json
import socket
import threading
import time
from importlib.metadata import version
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

from shared import metrics

BUSY_SECONDS_MAX = 30
"""An event loop that has not turned for so long is no longer alive."""

PATHS = ("/metrics", "/livez", "/readyz")


class Readiness:
    """What a service still waits for: at first its partitions. Ready when nothing is left."""

    def __init__(self) -> None:
        self.waiting: dict[str, str] = {"partitions": "starting"}
        self.facts: dict[str, Any] = {}
        self.turned_at = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether the event loop has turned lately."""
        return time.monotonic() - self.turned_at < BUSY_SECONDS_MAX

    def wait(self, what: str, why: str) -> None:
        """Not ready because of `what`."""
        self.waiting[what] = why

    def done(self, what: str) -> None:
        """`what` no longer stands in the way."""
        self.waiting.pop(what, None)


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Scrapes are no news."""


def serve_operations(listener: socket.socket, readiness: Readiness) -> None:
    """`/metrics`, `/livez`, `/readyz` on a thread of their own: a busy loop does not hide them."""
    metrics.BUILD.info({"version": version("myaku")})
    metrics.READY.set_function(lambda: not readiness.waiting)
    exposition = make_wsgi_app()

    def answer(environ: Any, start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return exposition(environ, start_response)
        waiting = dict(readiness.waiting)
        status, body = {
            "/livez": (
                "200 OK" if readiness.alive else "503 Service Unavailable",
                {"alive": readiness.alive},
            ),
            "/readyz": (
                "503 Service Unavailable" if waiting else "200 OK",
                {"ready": not waiting, "waiting": waiting, **readiness.facts},
            ),
        }.get(path, ("404 Not Found", {"paths": PATHS}))
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]

    server = _Threads(listener.getsockname(), _Quiet, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_name, server.server_port = listener.getsockname()
    server.setup_environ()
    server.set_app(answer)
    threading.Thread(target=server.serve_forever, name="operations", daemon=True).start()
