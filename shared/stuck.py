"""A consumer that gets nothing although the broker is there: only a new process helps."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.runtime import UserError

STUCK_SECONDS = 90.0
"""Without an assignment or an answer for so long, while the broker answers others: stuck."""


GROUP_SECONDS = 1.0
"""How often is looked whether the group has given something."""


class Stuck(UserError):
    """The consumer is stuck; whoever started the process starts it again."""


class Watchdog:
    """Watches one consumer of a topic, on the event loop's clock."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        self.consumer = consumer
        self.topic = topic
        self.unassigned_since: float | None = _now()
        self.away_at = 0.0
        self.answers: dict[TopicPartition, tuple[int | None, float]] = {}
        """By place: the broker's newest answer to a fetch, and when it was first seen."""

    def assigned(self) -> None:
        """The group gave the consumer its partitions, or none."""
        self.unassigned_since = None

    def revoked(self) -> None:
        """The group took them away: the next assignment is due."""
        self.unassigned_since = _now()

    async def check(
        self, places: Iterable[TopicPartition], failing_since: Iterable[float] = ()
    ) -> None:
        """Raises Stuck. `places` are those that are fetched now.

        `failing_since`: of the others, since when the broker has failed them without a pause.
        """
        now = _now()
        before, self.answers = self.answers, {}
        for place in places:
            answer_ms = self.consumer.last_poll_timestamp(place)
            known_ms, since = before.get(place, (None, now))
            self.answers[place] = (answer_ms, since if answer_ms == known_ms else now)
        since_all = [since for _, since in self.answers.values()]
        since_all += [max(since, self.away_at) for since in failing_since]
        await self._decide(since_all)

    async def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, which checks, and watch the group meanwhile. Raises Stuck.

        `getmany()` does not return before a rebalance is over, however long it takes.
        """
        tasks = [asyncio.create_task(work), asyncio.create_task(self._watch_group())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch_group(self) -> None:
        while True:
            await asyncio.sleep(GROUP_SECONDS)
            await self._decide([])

    async def _decide(self, since_all: list[float]) -> None:
        now = _now()
        since_all += [self.unassigned_since] if self.unassigned_since is not None else []
        if not since_all or now - min(since_all) <= STUCK_SECONDS:
            return
        if await self._broker_answers():
            raise Stuck(
                f"For {STUCK_SECONDS:.0f} seconds nothing came of {self.topic}, neither records nor"
                " partitions, or nothing could be sent, although the broker answers: start again."
            )
        # It is the broker that is away: the time counts from its next answer on.
        self.away_at = now
        self.unassigned_since = None if self.unassigned_since is None else now
        self.answers = {place: (answer_ms, now) for place, (answer_ms, _) in self.answers.items()}

    async def _broker_answers(self) -> bool:
        try:
            return self.topic in await self.consumer.topics()
        except KafkaError:
            return False


def _now() -> float:
    return asyncio.get_running_loop().time()
