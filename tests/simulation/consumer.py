"""What the services use of aiokafka's consumer, with the traps that it was seen to have.

Records come before `on_partitions_assigned` has ended, from the committed offset. No heartbeat is
sent while it runs. What a listener raises is swallowed. Who is evicted is not told, and hands over
what it had fetched. `stop()` calls no listener. `pause()` drops what was fetched. `getmany()`
without names is about all partitions; it takes its time, and in a rebalance it waits for its end.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterable, KeysView
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaConnectionError,
    NoOffsetForPartitionError,
)

from tests.simulation.broker import Broker, Fetched
from tests.simulation.event_loop import VirtualLoop
from tests.simulation.network import Lost, Refused

HEARTBEAT_SECONDS = 2.0
PATIENCE_SECONDS = 2.0
"""How long `getmany()` waits, at least: a real one waits as long as it is told, or much longer."""

RETRY_SECONDS = 0.5
FETCH_RECORDS_MAX = 12
T_MS = 1000


class Held:
    """An assigned partition."""

    def __init__(self) -> None:
        self.position: int | None = None
        self.paused = False
        self.buffer: list[ConsumerRecord] = []
        self.highwater: int | None = None
        self.answered_ms: int | None = None
        self.error: Exception | None = None


Wanted = dict[TopicPartition, tuple[Held, int]]
"""What is fetched: each partition as it is held, and from where."""


class Consumer:
    """One member of a group."""

    def __init__(self, broker: Broker, name: str, **options: Any) -> None:
        self.broker = broker
        self.network = broker.network
        self.loop: VirtualLoop = broker.network.loop
        self.group = broker.group(options["group_id"])
        self.reset = options["auto_offset_reset"]
        self.name = name
        self.generation = -1
        self.held: dict[TopicPartition, Held] = {}
        self.listener: ConsumerRebalanceListener
        self.tasks: list[asyncio.Task[None]] = []
        self.asked: Wanted = {}
        self.waiting: set[asyncio.Future[None]] = set()
        self.told_ms = 0
        self.rebalancing = True
        self._client = SimpleNamespace(fetch_all_metadata=self._metadata)

    async def start(self) -> None:
        """Connect."""
        await self._ask("starting", lambda tell: tell(None))

    async def stop(self) -> None:
        """Leave the group; no listener is called."""
        for task in self.tasks:
            task.cancel()

        def leave(tell: Callable[[Any], None]) -> None:
            self.group.leave(self.name)
            tell(None)

        with suppress(KafkaConnectionError):
            await self._ask("leaving", leave)

    async def topics(self) -> set[str]:
        """The topics that there are."""
        await self._ask("topics", lambda tell: tell(None))
        return set(self.broker.topics)

    async def _metadata(self) -> Any:
        await self._ask("metadata", lambda tell: tell(None))
        return self

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """The partitions of a topic."""
        found = self.broker.topics.get(topic)
        return set(range(len(found))) if found else None

    def subscribe(self, topics: list[str], listener: ConsumerRebalanceListener) -> None:
        """Begin to be a member."""
        self.listener = listener
        (self.topic,) = topics
        self.tasks = [asyncio.create_task(self._belong())]

    def assignment(self) -> KeysView[TopicPartition]:
        """What it believes to own; unlike a set, in the same order every time."""
        return dict.fromkeys(self.held).keys()

    def pause(self, *places: TopicPartition) -> None:
        """Fetch nothing of them; what was fetched is dropped."""
        for place in places:
            held = self._of(place)
            held.paused = True
            held.buffer = []
        self._fetch()

    def resume(self, *places: TopicPartition) -> None:
        """Fetch them again."""
        for place in places:
            self._of(place).paused = False
        self._fetch()
        self._wake()

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Go on from there."""
        held = self._of(place)
        held.position, held.buffer, held.error = offset, [], None
        self._fetch()

    async def position(self, place: TopicPartition) -> int:
        """The offset of the next record to be handed over."""
        while (position := self._of(place).position) is None:
            await self.loop.pause(RETRY_SECONDS)
        return position

    def highwater(self, place: TopicPartition) -> int | None:
        """The log's end, as the newest answer told it."""
        return self._of(place).highwater

    def last_poll_timestamp(self, place: TopicPartition) -> int | None:
        """When the newest answer came."""
        return self._of(place).answered_ms

    async def getmany(
        self, *places: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Records of the places, or of all."""
        while self.rebalancing:
            await self.loop.signal(PATIENCE_SECONDS, self.waiting)
        everything = places or tuple(self.held)
        if not (found := self._drained(everything, max_records)):
            await self.loop.signal(max(timeout_ms / T_MS, PATIENCE_SECONDS), self.waiting)
            found = self._drained(everything, max_records)
        return found

    def _drained(
        self, places: Iterable[TopicPartition], count: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        found = {}
        for place in places:
            held = self.held.get(place)
            if held and held.error:
                error, held.error = held.error, None
                raise error
            if held and held.buffer and not held.paused and count:
                taken, held.buffer = held.buffer[:count], held.buffer[count:]
                count -= len(taken)
                held.position = taken[-1].offset + 1
                found[place] = taken
        if found:
            self._fetch()
        return found

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Commit offsets for the group."""
        for place in offsets:
            self._of(place)

        def keep(tell: Callable[[Any], None]) -> None:
            tell(self.group.commit(self.name, self.generation, offsets))

        if not await self._ask("committing offsets", keep):
            raise CommitFailedError("the group has another generation")

    def _of(self, place: TopicPartition) -> Held:
        if place not in self.held:
            raise IllegalStateError(f"Partition {place} is not assigned")
        return self.held[place]

    async def _ask(self, what: str, work: Any) -> Any:
        try:
            return await self.network.ask("broker", what, work)
        except (Lost, Refused) as error:
            raise KafkaConnectionError(str(error)) from error

    async def _belong(self) -> None:
        """Join, keep the membership alive, and join again whenever the group changes."""
        while True:
            self.rebalancing = True
            await self._tell("on_partitions_revoked", list(self.held))
            self.generation, given = await self._join()
            self.held = {place: Held() for place in given}
            self.rebalancing = False
            self._fetch()
            await self._tell("on_partitions_assigned", list(given))
            self._wake()
            said = "well"
            while said == "well":
                await self.loop.pause(HEARTBEAT_SECONDS)
                with suppress(KafkaConnectionError):
                    said = await self._ask(
                        "heartbeat",
                        lambda tell: tell(self.group.heartbeat(self.name, self.generation)),
                    )

    async def _join(self) -> Any:
        places = [
            TopicPartition(self.topic, at) for at in self.partitions_for_topic(self.topic) or ()
        ]
        while True:
            try:
                return await self._ask(
                    "joining", lambda tell: self.group.join(self.name, places, tell)
                )
            except KafkaConnectionError:
                await self.loop.pause(RETRY_SECONDS)

    async def _tell(self, method: str, places: list[TopicPartition]) -> None:
        try:
            answer = getattr(self.listener, method)(places)
            if inspect.isawaitable(answer):
                await answer
        except Exception as error:  # aiokafka writes it into its log, and goes on
            self.network.swallowed.append(error)

    def _fetch(self) -> None:
        """Fetch ahead for what is assigned and not paused; what was asked for before is void."""
        self._find_positions()
        wanted = {
            place: (held, held.position)
            for place, held in self.held.items()
            if not held.paused and not held.buffer and held.position is not None
        }
        if wanted == self.asked:
            return
        self.asked = wanted
        if wanted:
            positions = {place: position for place, (_, position) in wanted.items()}
            self.network.send(
                "broker",
                "fetch",
                lambda tell: self.broker.fetch(positions, FETCH_RECORDS_MAX, tell),
                lambda answer: self._fetched(wanted, answer),
            )

    def _find_positions(self) -> None:
        for place, held in self.held.items():
            if held.position is None:
                held.position = self.group.offsets.get(place)
            if held.position is None and self.reset == "earliest":
                held.position = 0
            if held.position is None:
                held.error = NoOffsetForPartitionError(f"no offset for {place}")
                self._wake()

    def _fetched(self, wanted: Wanted, answer: Any) -> None:
        if wanted is not self.asked:
            return
        self.asked = {}
        if isinstance(answer, Exception):
            self.loop.call_later(RETRY_SECONDS, self._fetch)
            return
        self.told_ms = max(self.told_ms + 1, round(self.loop.now * T_MS))
        fetched: Fetched
        for place, fetched in answer.items():
            held, _ = wanted[place]
            held.highwater, held.answered_ms = fetched.highwater, self.told_ms
            held.error, held.buffer = fetched.error, fetched.records
            if held.buffer or held.error:
                self._wake()
        self._fetch()

    def _wake(self) -> None:
        for waiting in self.waiting:
            if not waiting.done():
                waiting.set_result(None)
