"""The ports on loopback that the services listen on, checked before anything is started."""

from contextlib import ExitStack, closing
from dataclasses import dataclass

from shared.runtime import UserError, listen

API = {"ingest": 8081, "scoring": 8082, "alerts": 8083}
OPERATIONS = {"ingest": 9101, "scoring": 9102, "alerts": 9103}
API_FIRST = 8080
OPERATIONS_FIRST = 9100
OPERATIONS_AFTER = 10


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
                listener = held.enter_context(closing(listen(port if first != 0 else 0)))
            except UserError as error:
                raise UserError(f"{error} Use other ports with --ports-from.") from None
            return int(listener.getsockname()[1])

        return Ports(
            {name: take(port) for name, port in wanted.api.items()},
            {name: take(port) for name, port in wanted.operations.items()},
        )
