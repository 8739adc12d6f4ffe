"""A simulated broker: topics with partitions, and those who wait for their next record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError, OffsetOutOfRangeError, RequestTimedOutError

from shared.events import LOG, Marker, encode
from tests.simulation.event_loop import SERVERS
from tests.simulation.group import Group
from tests.simulation.network import Lost, Network, Refused

FETCH_SECONDS = 2.0
"""How long a fetch waits for records; on a real broker a fraction of it."""

BATCH_RECORDS_MAX = 40
LATE_SECONDS_MAX = 20.0
Written = tuple[bytes | None, bytes | None, Sequence[Any]]


class Broker:
    """All topics, and the groups that read them."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.topics: dict[str, list[list[ConsumerRecord]]] = {}
        self.groups: dict[str, Group] = {}
        self.waiting: list[Callable[[], None]] = []

    def make(self, topic: str, partitions: int, marker: Marker | None = None) -> None:
        """A new topic, that begins with the log's marker."""
        self.topics[topic] = [[] for _ in range(partitions)]
        if marker:
            for partition in range(partitions):
                self.append(TopicPartition(topic, partition), [(LOG.encode(), encode(marker), ())])

    def group(self, name: str) -> Group:
        """The group of that name."""
        if name not in self.groups:
            self.groups[name] = Group(self.network)
        return self.groups[name]

    def log(self, place: TopicPartition) -> list[ConsumerRecord]:
        """The records of a partition."""
        return self.topics[place.topic][place.partition]

    def append(self, place: TopicPartition, records: Sequence[Written]) -> None:
        """Write records, and wake who waits for them."""
        log = self.log(place)
        for key, value, headers in records:
            log.append(_record(place, len(log), key, value, headers))
        waiting, self.waiting = self.waiting, []
        for wake in waiting:
            wake()

    def fetch(
        self, positions: Mapping[TopicPartition, int], count: int, tell: Callable[[Any], None]
    ) -> None:
        """Answer when there is a record at one of the positions, or after a while."""
        told = False

        def answer() -> None:
            nonlocal told
            if not told:
                told = True
                tell({place: self._from(place, at, count) for place, at in positions.items()})

        def look() -> None:
            if any(at != len(self.log(place)) for place, at in positions.items()):
                answer()
            elif not told:
                self.waiting.append(look)

        look()
        if not told:
            self.network.loop.call_later(FETCH_SECONDS, answer, context=SERVERS)

    def _from(self, place: TopicPartition, at: int, count: int) -> "Fetched":
        log = self.log(place)
        if at > len(log):
            return Fetched([], len(log), OffsetOutOfRangeError({place: at}))
        return Fetched(log[at : at + count], len(log))


@dataclass
class Fetched:
    """The answer for one partition."""

    records: list[ConsumerRecord]
    highwater: int
    error: Exception | None = None


def _record(
    place: TopicPartition,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[Any],
) -> ConsumerRecord:
    rest: dict[str, Any] = {"timestamp": 0, "timestamp_type": 0, "checksum": None}
    sizes = {"serialized_key_size": 0, "serialized_value_size": 0}
    return ConsumerRecord(
        topic=place.topic,
        partition=place.partition,
        offset=offset,
        key=key,
        value=value,
        headers=tuple(headers),
        **rest,
        **sizes,
    )


@dataclass
class Batch:
    """What is sent as one."""

    records: list[Written] = field(default_factory=list)

    def append(self, *, key: Any, value: Any, headers: Any, timestamp: Any) -> object | None:
        """Take a record in; None if there is no room."""
        if len(self.records) >= BATCH_RECORDS_MAX:
            return None
        self.records.append((key, value, headers))
        return self

    def record_count(self) -> int:
        """How many it has."""
        return len(self.records)

    def close(self) -> None:
        """No more."""


class Producer:
    """What the services use of aiokafka's producer; its acknowledgements come late, or never."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def partitions_for(self, topic: str) -> set[int]:
        """The partitions that a topic has, as the client knows it without asking."""
        return set(range(len(self.broker.topics[topic])))

    def create_batch(self) -> Batch:
        """An empty batch."""
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Any:
        """Send; what is returned ends with the acknowledgement."""
        return self._acknowledged(TopicPartition(topic, partition), batch)

    async def _acknowledged(self, place: TopicPartition, batch: Batch) -> None:
        broker, network = self.broker, self.broker.network

        def write(tell: Callable[[Any], None]) -> None:
            broker.append(place, batch.records)
            tell(None)

        try:
            await network.ask("broker", "sending", write)
        except Refused as error:
            raise KafkaConnectionError(str(error)) from error
        except Lost as error:
            if network.chance.random() < 0.3:  # it was on its way, and comes after all
                seconds = network.chance.random() * LATE_SECONDS_MAX
                late = lambda: broker.append(place, batch.records)  # noqa: E731
                network.loop.call_later(seconds, late, context=SERVERS)
                network.sometimes["a batch written after it was given up"] += 1
            raise RequestTimedOutError(str(error)) from error
