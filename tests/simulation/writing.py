"""Who writes into the logs: customers' events and the ticks between them, or scores of before."""

import random
from functools import cache

from aiokafka import TopicPartition

from shared.barriers import signed
from shared.configuration import revision
from shared.events import (
    CONFIG,
    ENGAGEMENT_CHANGES,
    HEALTH_CHANGES,
    TICK,
    USAGE_ACCEPTED,
    USAGE_EVENTS,
    USAGE_REJECTED,
    Config,
    Marker,
    Tick,
    encode,
)
from shared.times import iso_time
from tests.simulation.broker import Broker, Written
from tests.simulation.replay import Replay
from tests.simulation.services import SECRET_KEY
from tests.simulation.traffic import DAY_MS, HOUR_MS, START_MS, Traffic, accepted, document, home

LOG_ID = "log-1"
WRITTEN_DAYS = 2
"""With the last ticks less than the 7 days within which what comes twice is known in any case."""

RECORDED_WRITES = 12
VARIANTS = 4


def make_log(broker: Broker, partitions: int, sources: int) -> None:
    """All topics, with their markers and a configuration."""
    marker = Marker(LOG_ID, partitions)
    broker.make(USAGE_EVENTS, sources)
    broker.make(USAGE_ACCEPTED, partitions, marker)
    broker.make(USAGE_REJECTED, 1)
    broker.make(HEALTH_CHANGES, partitions, marker)
    broker.make(ENGAGEMENT_CHANGES, partitions)
    body = document()
    config = encode(Config(revision(body), body))
    for partition in range(partitions):
        broker.append(TopicPartition(USAGE_ACCEPTED, partition), [(CONFIG.encode(), config, ())])


class Events:
    """Writes events and ticks: into `usage.events`, or as ingest would pass them on."""

    def __init__(self, broker: Broker, traffic: Traffic, *, ingest: bool, live: bool) -> None:
        self.broker = broker
        self.traffic = traffic
        self.ingest = ingest
        self.live = live
        self.partitions = len(broker.topics[USAGE_ACCEPTED])
        self.sources = len(broker.topics[USAGE_EVENTS])
        self._tick()

    def write(self) -> None:
        """A few events, and sometimes time goes on."""
        chance = self.traffic.chance
        for key, value in self.traffic.some(chance.randint(0, 6)):
            self._event(key, value)
        if chance.random() < 0.4:
            hours = chance.choice((1, 3, 8, 14, 30))
            later_ms = self.traffic.now_ms + chance.randrange(hours * HOUR_MS)
            self.traffic.now_ms = min(later_ms, START_MS + WRITTEN_DAYS * DAY_MS)
            self._tick()

    def write_last(self) -> None:
        """Time goes on beyond all events."""
        for key, value in self.traffic.last():
            self._event(key, value)
        for _ in range(2):
            self.go_on(2 * DAY_MS)

    def go_on(self, milliseconds: int) -> None:
        """Time goes on for all."""
        self.traffic.now_ms += milliseconds
        self._tick(all_sources=True)

    def _event(self, key: str, value: bytes | None) -> None:
        if self.ingest:
            place = TopicPartition(USAGE_EVENTS, sum(key.encode()) % self.sources)
        else:
            place = TopicPartition(USAGE_ACCEPTED, home(key, self.partitions))
            value = accepted(value, self.traffic.now_ms)
        self.broker.append(place, [(key.encode(), value, ())])

    def _tick(self, *, all_sources: bool = False) -> None:
        """Time comes to the traffic's; live, not of every source partition at once."""
        chance, time = self.traffic.chance, iso_time(self.traffic.now_ms)
        for source in range(self.sources):
            if self.live and not all_sources and chance.random() < 0.3:
                continue  # it comes with a later one
            tick = Tick(source, self.sources, time, "live" if self.live else "history")
            if not self.ingest:
                for partition in range(self.partitions):
                    place = TopicPartition(USAGE_ACCEPTED, partition)
                    self.broker.append(place, [(TICK.encode(), encode(tick), ())])
            elif not self.live:
                self.broker.append(TopicPartition(USAGE_EVENTS, source), [signed(tick, SECRET_KEY)])


class Scores:
    """Writes what scoring once sent, some of it twice, as scoring does."""

    def __init__(self, broker: Broker, chance: random.Random, *, live: bool) -> None:
        self.broker = broker
        self.chance = chance
        self.partitions = len(broker.topics[HEALTH_CHANGES])
        self.recorded = recorded(self.partitions, chance.randrange(VARIANTS), live=live)
        self.written = [1] * self.partitions

    def write(self) -> None:
        """The next records of each partition."""
        for partition in range(self.partitions):
            self._write(partition, self.chance.randint(0, 12))

    def write_last(self) -> None:
        """All that is left."""
        for partition, records in enumerate(self.recorded):
            self._write(partition, len(records))

    def go_on(self, milliseconds: int) -> None:
        """Time went on in what was recorded."""

    def _write(self, partition: int, count: int) -> None:
        at = self.written[partition]
        again = self.chance.choice((0, 0, 0, 3, 12))
        records = self.recorded[partition][max(1, at - again) : at + count]
        self.written[partition] = max(at, min(at + count, len(self.recorded[partition])))
        self.broker.append(TopicPartition(HEALTH_CHANGES, partition), records)


@cache
def recorded(partitions: int, variant: int, *, live: bool) -> list[list[Written]]:
    """What scoring sends of some events, by partition."""
    replay = Replay(LOG_ID, partitions, live=live)
    broker = Broker(replay.network)
    make_log(broker, partitions, 1)
    traffic = Traffic(random.Random(variant), ingest=False)
    events = Events(broker, traffic, ingest=False, live=live)
    for _ in range(RECORDED_WRITES):
        events.write()
    events.write_last()
    for partition, log in enumerate(broker.topics[USAGE_ACCEPTED]):
        replay.score(partition, log, range(3, len(log) + 1, 3))
    found: list[list[Written]] = [
        [(record.key, record.value, ()) for record in replay.health(partition)]
        for partition in range(partitions)
    ]
    replay.close()
    return found
