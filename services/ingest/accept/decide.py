"""Deciding: a batch in its order, with the memberships and the parked events that it touches.

A parked event follows its user's joining at once, where that stands in the log. So what comes
of a history does not depend on how it was cut into batches.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET

from services.ingest.accept.erasure import Erased
from services.ingest.accept.reading import Reading, SourceRecord
from shared.events import Barrier, Erasure, Tick, control_key, encode
from shared.native.event import JOINED, Event, examine
from shared.native.membership import Memberships
from shared.native.refusal import Refused
from shared.times import time_ms

KNOWN_AT = "known_at"
PARKED_MS_MAX = 7 * 86_400_000
OF_ERASED = "The user was erased, and the account is not named."


class Parked(msgspec.Struct):
    """An event that waits for its user's account; `since_ms` is the first tick after it."""

    record: SourceRecord
    user_id: str
    source: str
    event_id: str
    received_ms: int
    since_ms: int | None = None


class Rejected(msgspec.Struct, frozen=True):
    """A record that is refused, and why."""

    record: SourceRecord
    refused: Refused


@dataclass
class Known:
    """What the database knows of the users at hand."""

    memberships: Memberships = field(default_factory=Memberships)
    parked: list[Parked] = field(default_factory=list)
    erased: Erased = field(default_factory=Erased)


@dataclass
class Outcome:
    """What is to be sent, and then to be saved."""

    accepted: list[tuple[str | None, bytes, bytes]] = field(default_factory=list)
    """(account, or None for every partition; key; value), in order."""
    rejected: list[Rejected] = field(default_factory=list)
    memberships: Memberships = field(default_factory=Memberships)
    erased: Erased = field(default_factory=Erased)
    parked: list[Parked] = field(default_factory=list)
    settled: list[Parked] = field(default_factory=list)
    """Those that had been parked before, and are no longer."""
    first_tick_ms: dict[int, int] = field(default_factory=dict)
    newest_tick_ms: dict[int, int] = field(default_factory=dict)
    """Both by source partition."""
    newest_event: dict[tuple[int, str], str] = field(default_factory=dict)
    """By source partition and source."""
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def read(self) -> int:
        """The records of the batch: each is one of these four, and only one."""
        kinds = ("accepted", "rejected", "parked", "control")
        return sum(self.counts[kind] for kind in kinds)

    @property
    def changes_database(self) -> bool:
        """Whether there is anything to save."""
        waiting = self.parked or self.settled or self.first_tick_ms
        return bool(self.memberships.changed or self.erased.new or waiting)

    def accept(self, event: Event, partition: int) -> None:
        """Pass an event on that has its account; one of before an erasure names nobody."""
        assert event.account_id is not UNSET
        if self.erased.covers(event):
            event.user_id = UNSET
        if event.type == JOINED:
            self._complete(event)
        self.accepted.append((event.account_id, event.account_id.encode(), encode(event)))
        self.memberships.follow(event)
        source = (partition, event.source)
        self.newest_event[source] = max(self.newest_event.get(source, ""), event.time)

    def _complete(self, event: Event) -> None:
        """Say at which other accounts a joining user is known; nobody else can know."""
        event.properties.pop(KNOWN_AT, None)
        if event.user_id is not UNSET and (elsewhere := self.memberships.elsewhere(event)):
            event.properties[KNOWN_AT] = elsewhere

    def pass_on(self, record: Tick | Barrier | Erasure) -> None:
        """Send a record of our own to every partition."""
        self.accepted.append((None, control_key(record), encode(record)))


def decide(readings: Iterable[Reading], known: Known) -> Outcome:
    """What becomes of a batch; each record is counted exactly once."""
    return _Walk(known).through(readings)


def settle(known: Known) -> Outcome:
    """What becomes of parked events, now that more is known of their users."""
    walk = _Walk(known)
    for user_id in list(walk.waiting):
        walk.release(user_id)
    return walk.outcome


class _Walk:
    def __init__(self, known: Known) -> None:
        self.outcome = Outcome(memberships=known.memberships, erased=known.erased)
        self.old = {id(one) for one in known.parked}
        self.waiting: dict[str, list[Parked]] = defaultdict(list)
        self.before_a_tick: dict[int, list[Parked]] = defaultdict(list)
        for one in known.parked:
            self._wait(one)

    def through(self, readings: Iterable[Reading]) -> Outcome:
        for reading in readings:
            self.outcome.counts[self._one(reading.record, reading.body)] += 1
        self.outcome.parked = [
            one for waiting in self.waiting.values() for one in waiting if id(one) not in self.old
        ]
        return self.outcome

    def _one(self, record: SourceRecord, body: Event | Tick | Barrier | Erasure | Refused) -> str:
        if isinstance(body, Refused):
            self.outcome.rejected.append(Rejected(record, body))
            return "rejected"
        if isinstance(body, Event):
            return self._event(record, body)
        if isinstance(body, Tick):
            self._tick(record.partition, time_ms(body.time))
        if isinstance(body, Erasure):
            self._erase(body)
        self.outcome.pass_on(body)
        return "control"

    def _event(self, record: SourceRecord, event: Event) -> str:
        if event.account_id is not UNSET:
            self.outcome.accept(event, record.partition)
            if event.type == JOINED and event.user_id is not UNSET:
                self.release(event.user_id)
            return "accepted"
        assert event.user_id is not UNSET
        if self.outcome.erased.covers(event):
            why = Refused("unknown_account", OF_ERASED)
            self.outcome.rejected.append(Rejected(record, why))
            return "rejected"
        try:
            account_id = self._account_of(event.user_id)
        except Refused as refused:
            self.outcome.rejected.append(Rejected(record, refused))
            return "rejected"
        if account_id is None:
            received_ms = time_ms(event.received_at)
            self._wait(Parked(record, event.user_id, event.source, event.id, received_ms))
            return "parked"
        event.account_id = account_id
        self.outcome.accept(event, record.partition)
        return "accepted"

    def _account_of(self, user_id: str) -> str | None:
        accounts = self.outcome.memberships.accounts(user_id)
        if len(accounts) > 1:
            raise Refused("ambiguous_account", f"The user belongs to {len(accounts)} accounts.")
        return accounts[0] if accounts else None

    def _wait(self, parked: Parked) -> None:
        self.waiting[parked.user_id].append(parked)
        if parked.since_ms is None:
            self.before_a_tick[parked.record.partition].append(parked)

    def _tick(self, partition: int, tick_ms: int) -> None:
        self.outcome.first_tick_ms.setdefault(partition, tick_ms)
        newest = self.outcome.newest_tick_ms
        newest[partition] = max(newest.get(partition, tick_ms), tick_ms)
        for parked in self.before_a_tick.pop(partition, ()):
            parked.since_ms = tick_ms

    def _erase(self, erasure: Erasure) -> None:
        """Forget what named the user until then; what was parked since belongs to somebody new."""
        user_id, erased_ms = erasure.user_id, time_ms(erasure.time)
        self.outcome.erased.erase(erasure)
        self.outcome.memberships.forget(user_id, erasure.time)
        waiting = [one for one in self.waiting.pop(user_id, ()) if one.received_ms > erased_ms]
        if waiting:
            self.waiting[user_id] = waiting

    def release(self, user_id: str) -> None:
        """Pass on, or refuse, what waits for the user; what waited too long is left to expire."""
        still_waiting = []
        for parked in self.waiting.pop(user_id, ()):
            if self._is_expired(parked) or not self._settle(parked):
                still_waiting.append(parked)
            elif id(parked) in self.old:
                self.outcome.settled.append(parked)
        if still_waiting:
            self.waiting[user_id] = still_waiting

    def _is_expired(self, parked: Parked) -> bool:
        now_ms = self.outcome.newest_tick_ms.get(parked.record.partition)
        if now_ms is None or parked.since_ms is None:
            return False
        return now_ms - parked.since_ms >= PARKED_MS_MAX

    def _settle(self, parked: Parked) -> bool:
        try:
            account_id = self._account_of(parked.user_id)
            if account_id is None:
                return False
            event = examine(parked.record.value, parked.received_ms)
            if self.outcome.erased.covers(event):
                raise Refused("unknown_account", OF_ERASED)
        except Refused as refused:
            self.outcome.rejected.append(Rejected(parked.record, refused))
            self.outcome.counts["parked_refused"] += 1
            return True
        event.account_id = account_id
        self.outcome.accept(event, parked.record.partition)
        self.outcome.counts["parked_released"] += 1
        return True
