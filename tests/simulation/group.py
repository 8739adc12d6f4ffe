"""The coordinator of a consumer group: who is a member, and who reads which partitions.

Every rebalance is an eager one: it ends when all members have joined again, or without those who
have not. Who sends no heartbeat for the length of a session is no member any more, and is not
told so until it asks.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from tests.simulation.event_loop import SERVERS
from tests.simulation.network import Network

SESSION_SECONDS = 6.0
REBALANCE_SECONDS = 30.0
DOUBLE = 0.5


@dataclass
class Member:
    """One of a group."""

    name: str
    places: list[TopicPartition]
    deadline: float = 0.0
    generation: int = -1
    told: Callable[[Any], None] | None = None
    """Takes its partitions, once it has joined the rebalance that goes on."""


class Group:
    """One group: its members, its offsets, and the partitions of the one topic that it reads."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.members: dict[str, Member] = {}
        self.offsets: dict[TopicPartition, int] = {}
        self.generation = 0
        self.assigned: dict[str, list[TopicPartition]] = {}
        self.begun: float | None = None
        self.committed: Callable[[dict[TopicPartition, int]], None] = lambda offsets: None
        """Told of all offsets that are committed."""
        self.doubles = False
        """Whether a partition may be given to two at the same time."""

    def join(
        self, name: str, places: Iterable[TopicPartition], tell: Callable[[Any], None]
    ) -> None:
        """Become a member, or remain one; the partitions are told when the rebalance ends."""
        member = self.members.setdefault(name, Member(name, list(places)))
        member.told = tell
        self._live(member)
        self._rebalance()

    def heartbeat(self, name: str, generation: int) -> str:
        """`unknown`, `rebalance`, or all is well."""
        member = self.members.get(name)
        if member is None or member.generation != generation:
            return "unknown"
        self._live(member)
        return "rebalance" if self.begun is not None else "well"

    def leave(self, name: str) -> None:
        """Be no member any more."""
        if self.members.pop(name, None):
            self._rebalance()

    def commit(self, name: str, generation: int, offsets: dict[TopicPartition, int]) -> bool:
        """Keep offsets; False from one who is no member any more, or while others join."""
        member = self.members.get(name)
        if member is None or member.generation != generation or self.begun is not None:
            return False
        self.committed(offsets)
        self.offsets |= offsets
        return True

    def shake(self) -> None:
        """Begin a rebalance without any reason."""
        if self.members and self.begun is None:
            self._rebalance()

    def _live(self, member: Member) -> None:
        loop = self.network.loop
        first, member.deadline = member.deadline == 0.0, loop.now + SESSION_SECONDS
        if first:
            loop.call_at(member.deadline, self._look, member, context=SERVERS)

    def _look(self, member: Member) -> None:
        loop = self.network.loop
        if self.members.get(member.name) is not member:
            return
        if member.told is not None:  # it waits for the others
            member.deadline = loop.now + SESSION_SECONDS
        if loop.now >= member.deadline:
            self.network.sometimes["evicted"] += 1
            self.leave(member.name)
        else:
            loop.call_at(member.deadline, self._look, member, context=SERVERS)

    def _rebalance(self) -> None:
        loop = self.network.loop
        if self.begun is None:
            self.begun = loop.now
            self.network.sometimes["rebalances"] += 1
            loop.call_later(REBALANCE_SECONDS, self._late, self.begun, context=SERVERS)
        if all(member.told for member in self.members.values()):
            self._complete()

    def _late(self, begun: float) -> None:
        if self.begun == begun:
            for name in [name for name, member in self.members.items() if not member.told]:
                del self.members[name]
            self._complete()

    def _complete(self) -> None:
        self.begun = None
        self.generation += 1
        given = self._shares()
        self.assigned = given
        for name, member in self.members.items():
            tell, member.told = member.told, None
            member.generation = self.generation
            member.deadline = self.network.loop.now + SESSION_SECONDS
            assert tell is not None
            tell((self.generation, given[name]))

    def _shares(self) -> dict[str, list[TopicPartition]]:
        """Everybody's partitions; mostly those that they had, as the sticky assignor does."""
        chance, names = self.network.chance, sorted(self.members)
        if not names:
            return {}
        places = self.members[names[0]].places
        most = -(-len(places) // len(names))
        given: dict[str, list[TopicPartition]] = {name: [] for name in names}
        left = list(places)
        if chance.random() < 0.8:
            for name in names:
                kept = [place for place in self.assigned.get(name, []) if place in left][:most]
                given[name] = kept
                left = [place for place in left if place not in kept]
        chance.shuffle(left)
        for place in left:
            least = min(names, key=lambda name: (len(given[name]), chance.random()))
            given[least].append(place)
        if self.doubles and len(names) > 1 and chance.random() < DOUBLE:
            place = chance.choice(places)
            name = chance.choice(names)
            if place not in given[name]:
                given[name].append(place)
                self.network.sometimes["owned by two"] += 1
        return given
