"""I7 and I11: when ingest commits an offset, all before it is passed on, refused or parked."""

import re

from aiokafka import TopicPartition

from shared.events import USAGE_ACCEPTED, USAGE_REJECTED
from tests.simulation.broker import Broker
from tests.simulation.store import Database

EVENT = re.compile(rb'\{"id":"(e\d+)"')


class PassedOn:
    """What is in the topics and the table behind ingest, as it comes there."""

    def __init__(self, broker: Broker, database: Database) -> None:
        self.broker = broker
        self.database = database
        self.read: dict[TopicPartition, int] = {}
        self.checked: dict[TopicPartition, int] = {}
        self.ids: set[bytes] = set()
        self.refused: set[tuple[bytes, bytes]] = set()

    def check(self, offsets: dict[TopicPartition, int]) -> None:
        """Offsets are committed. Raises AssertionError."""
        self._look()
        for place, offset in offsets.items():
            for record in self.broker.log(place)[self.checked.get(place, 0) : offset]:
                where = b"%d" % place.partition, b"%d" % record.offset
                found = EVENT.match(record.value or b"")
                known = where in self.refused or (found and found[1] in self.ids)
                ours = (record.key or b"").startswith(b"myaku.")
                assert known or ours, f"I11: {offset} of {place} committed, {record.offset} is lost"
            self.checked[place] = max(offset, self.checked.get(place, 0))

    def _look(self) -> None:
        parked = self.database.rows("SELECT event_id FROM parked")
        self.ids |= {identity.encode() for (identity,) in parked}
        for topic in (USAGE_ACCEPTED, USAGE_REJECTED):
            for partition, log in enumerate(self.broker.topics[topic]):
                place = TopicPartition(topic, partition)
                for record in log[self.read.get(place, 0) :]:
                    if topic == USAGE_REJECTED:
                        names = dict(record.headers)
                        self.refused.add((names["source_partition"], names["source_offset"]))
                    elif found := EVENT.match(record.value or b""):
                        self.ids.add(found[1])
                self.read[place] = len(log)


def watch(broker: Broker, group: str, database: Database) -> None:
    """Check at every commit of the group."""
    broker.group(group).committed = PassedOn(broker, database).check
