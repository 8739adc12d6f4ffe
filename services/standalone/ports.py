"""The ports on loopback that the services listen on, checked before anything is started."""

import secrets
import socket
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass

from shared.runtime import UserError, listen

API = {"ingest": 8081, "scoring": 8082, "alerts": 8083}
OPERATIONS = {"ingest": 9101, "scoring": 9102, "alerts": 9103}
API_FIRST = 8080
OPERATIONS_FIRST = 9100
OPERATIONS_AFTER = 10
FREE_PORTS = range(20_000, 32_000)
"""Below those that systems give to connections: such a one may be gone before it is listened on."""


@dataclass(frozen=True)
class Ports:
    """By service: the HTTP API, and metrics with the probes."""

    api: dict[str, int]
    operations: dict[str, int]

    def environment(self) -> dict[str, str]:
        """As the services' settings want them."""
        return {
            **{f"MYAKU_{name.upper()}_PORT": str(port) for name, port in self.api.items()},
            **{
                f"MYAKU_{name.upper()}_OPERATIONS_PORT": str(port)
                for name, port in self.operations.items()
            },
        }


def listen_anywhere() -> socket.socket:
    """A listening socket on a port that nobody used. Raises UserError where all seem taken."""
    for _ in range(len(FREE_PORTS)):
        with suppress(UserError):
            return listen(FREE_PORTS[secrets.randbelow(len(FREE_PORTS))])
    raise UserError(f"No port from {FREE_PORTS[0]} to {FREE_PORTS[-1]} is free.")


def free_port() -> int:
    """A port on loopback that nobody listens on at this moment."""
    with closing(listen_anywhere()) as listener:
        return int(listener.getsockname()[1])


def choose(first: int | None) -> Ports:
    """The usual ports, or those from `first` on, or any free ones (0). Raises UserError."""
    if first is None:
        wanted = Ports(API, OPERATIONS)
    else:
        wanted = Ports(
            {name: port - API_FIRST + first for name, port in API.items()},
            {
                name: port - OPERATIONS_FIRST + OPERATIONS_AFTER + first
                for name, port in OPERATIONS.items()
            },
        )
    with ExitStack() as held:

        def take(port: int) -> int:
            try:
                listener = listen_anywhere() if first == 0 else listen(port)
            except UserError as error:
                raise UserError(f"{error} Use other ports with --ports-from.") from None
            return int(held.enter_context(closing(listener)).getsockname()[1])

        return Ports(
            {name: take(port) for name, port in wanted.api.items()},
            {name: take(port) for name, port in wanted.operations.items()},
        )
