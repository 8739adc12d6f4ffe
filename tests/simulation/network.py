"""The way from a process to a server: requests take a while, and they or their answers get lost."""

import random
from collections import Counter
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from tests.simulation.event_loop import SERVERS, VirtualLoop

DELAYS_SECONDS_MAX = (0.003, 0.03, 0.15)
SLOW_SECONDS_MAX = 2.0
PATIENCE_SECONDS = 15.0

Work = Callable[[Callable[[Any], None]], None]
"""What a server does with a request; it is given what takes the answer."""


class Failed(Exception):
    """What a server answers a request with that it cannot do."""


class Lost(Exception):
    """The connection went away: was the request done? Nobody says."""


class Refused(Exception):
    """Nothing answers there."""


class Dial:
    """How a server can be reached just now."""

    def __init__(self) -> None:
        self.loses_requests = 0.0
        self.loses_answers = 0.0
        self.slow = 0.0
        self.down = False
        self.silent = False


class Network:
    """All lines of a world, and what happened on them."""

    def __init__(self, loop: VirtualLoop, chance: random.Random) -> None:
        self.loop = loop
        self.chance = chance
        self.delay_seconds_max = chance.choice(DELAYS_SECONDS_MAX)
        self.dials = {name: Dial() for name in ("broker", "ingest", "scoring", "alerts")}
        self.sometimes: Counter[str] = Counter()
        self.swallowed: list[Exception] = []
        """What listeners raised, and nobody heard."""

    def calm(self) -> None:
        """Heal everything."""
        self.dials = {name: Dial() for name in self.dials}

    async def ask(self, server: str, what: str, work: Work) -> Any:
        """Ask a server for something. Raises Lost, Refused or what the server answers."""
        future = self.loop.create_future()

        def reply(answer: Any) -> None:
            if not future.done():
                future.set_result(answer)

        self._carry(server, what, work, reply)
        answer = await future
        if isinstance(answer, Exception):
            raise answer
        return answer

    def send(self, server: str, what: str, work: Work, take: Callable[[Any], None]) -> None:
        """Ask a server for something; the process that asks takes the answer, or the fault."""
        context = copy_context()

        def reply(answer: Any) -> None:
            self.loop.call_soon(take, answer, context=context)

        self._carry(server, what, work, reply)

    def _carry(self, server: str, what: str, work: Work, reply: Callable[[Any], None]) -> None:
        dial, chance, loop = self.dials[server], self.chance, self.loop
        seconds = chance.random() * self.delay_seconds_max
        if dial.slow and chance.random() < dial.slow:
            seconds = chance.random() * SLOW_SECONDS_MAX
        if dial.down:
            work, reply = (
                _nothing,
                partial(_instead, reply, Refused(f"nothing answers at {server}")),
            )
        elif dial.silent:
            seconds = PATIENCE_SECONDS
            work, reply = _nothing, partial(_instead, reply, Lost(f"{server} says nothing"))
        elif dial.loses_requests and chance.random() < dial.loses_requests:
            self.sometimes[f"{what} lost before it was done"] += 1
            work, reply = _nothing, partial(_instead, reply, Lost(f"{what}: {server} is gone"))
        elif dial.loses_answers and chance.random() < dial.loses_answers:
            self.sometimes[f"{what} done, the answer lost"] += 1
            reply = partial(_instead, reply, Lost(f"{what}: {server} is gone"))
        loop.call_later(seconds, work, reply, context=SERVERS)


def _nothing(tell: Callable[[Any], None]) -> None:
    tell(None)


def _instead(reply: Callable[[Any], None], error: Exception, _: Any) -> None:
    reply(error)
