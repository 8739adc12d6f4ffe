"""What customers do, and the ledger of it: how often each account did something on each day.

The ledger is kept while the events are made, by counting; it knows nothing of how they are
scored.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shared.events import encode
from shared.kafka import partition_of
from shared.times import iso_time

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
START_MS = 20_000 * DAY_MS + 20 * HOUR_MS
ACCOUNTS = tuple(f"a{number}" for number in range(4))
USERS = ("u0", "u1", "u2")
OF_USERS = {"p0": "a0", "p1": "a1", "p2": "a1"}
"""Users whose events do not name their account, and which it is."""

POISON = (
    b"\xff\xfe",
    b"{",
    b"[]",
    b'{"properties":{"a":1e999}}',
    b'{"id":"x","type":"used","account_id":7}',
    None,
)
AGO_DAYS = (0.0, 0.0, 0.0, 0.05, 0.5, 1.5, 6.0, 40.0)
TOO_OLD_DAYS = 150.0


@dataclass
class Ledger:
    """What must be found in the end."""

    counted: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Unique valid events by account and day."""
    ids: set[str] = field(default_factory=set)
    duplicates: int = 0
    too_old: int = 0
    poison: int = 0


@dataclass
class Traffic:
    """Makes events: for ingest some that name but their user, else some of days to come."""

    chance: random.Random
    ingest: bool
    now_ms: int = START_MS
    ledger: Ledger = field(default_factory=Ledger)
    sent: list[dict[str, Any]] = field(default_factory=list)
    joined: set[str] = field(default_factory=set)

    def some(self, count: int) -> Iterator[tuple[str, bytes | None]]:
        """The keys and bytes of some records; what is not an event is of any account."""
        chance, ledger = self.chance, self.ledger
        for _ in range(count):
            kind = chance.random()
            if kind < 0.06:
                ledger.poison += 1
                yield chance.choice(ACCOUNTS), chance.choice(POISON)
            elif kind < 0.25 and self.sent:
                ledger.duplicates += 1
                yield _keyed(chance.choice(self.sent[-40:]))
            elif kind < 0.4 and self.ingest:
                yield self._sent(self._event_of_nobody(chance.choice(list(OF_USERS))))
            else:
                yield self._sent(self._event(chance.choice(ACCOUNTS)))

    def last(self) -> Iterator[tuple[str, bytes | None]]:
        """Whoever belongs to no account yet joins one."""
        for user in OF_USERS if self.ingest else ():
            if user not in self.joined:
                yield self._sent(self._join(user))

    def _sent(self, event: dict[str, Any]) -> tuple[str, bytes]:
        self.sent.append(event)
        return _keyed(event)

    def _event_of_nobody(self, user: str) -> dict[str, Any]:
        """What a user did whose account only ingest can know, or that the user joins it."""
        if user not in self.joined and self.chance.random() < 0.3:
            return self._join(user)
        event = self._event(OF_USERS[user])
        del event["account_id"]
        return event | {"user_id": user}

    def _join(self, user: str) -> dict[str, Any]:
        self.joined.add(user)
        identity = f"e{len(self.ledger.ids)}"
        self.ledger.ids.add(identity)
        return {
            "id": identity,
            "type": "user.joined",
            "account_id": OF_USERS[user],
            "user_id": user,
            "time": iso_time(self.now_ms),
            "source": "app",
            "properties": {},
        }

    def _event(self, account: str) -> dict[str, Any]:
        chance, ledger = self.chance, self.ledger
        ago = chance.choice(AGO_DAYS)
        if chance.random() < 0.04:
            ago = TOO_OLD_DAYS
        elif not self.ingest and chance.random() < 0.06:
            ago = -1.0
        time_ms = self.now_ms - round(ago * DAY_MS) - chance.randrange(60_000)
        identity = f"e{len(ledger.ids)}"
        ledger.ids.add(identity)
        if ago == TOO_OLD_DAYS:
            ledger.too_old += 1
        else:
            ledger.counted[account, time_ms // DAY_MS] += 1
        return {
            "id": identity,
            "type": "used",
            "account_id": account,
            "user_id": chance.choice(USERS),
            "time": iso_time(time_ms),
            "source": chance.choice(("app", "web")),
            "properties": {},
        }


def _keyed(event: dict[str, Any]) -> tuple[str, bytes]:
    return event.get("account_id") or event["user_id"], encode(event)


def accepted(value: bytes | None, received_ms: int) -> bytes | None:
    """An event as ingest passes it on; what is none stays as it is."""
    if value is None or not value.startswith(b'{"id":"e'):
        return value
    return value[:-1] + f',"received_at":"{iso_time(received_ms)}"}}'.encode()


def home(account: str, partitions: int) -> int:
    """The partition of an account."""
    return partition_of(account, partitions)


def document() -> dict[str, Any]:
    """A small configuration: one measure, a rule that fires at once and one that waits."""
    measures = {"uses": {"weight": 1, "curve": [[0, 0], [9, 100]]}}
    levels = [
        {"severity": "warning", "trigger": 60, "clear": 65},
        {"severity": "critical", "trigger": 40, "clear": 50},
    ]
    rule = {"title": "{{ account.name }}", "kind": "threshold", "levels": levels, "play": "Call."}
    return {
        "product": {"time_zone": "UTC", "events": {"active": ["used"]}},
        "scorecards": {
            "metrics": {
                "uses": {"count": "active", "window": "7d"},
            },
            "scorecards": [
                {"id": "all", "dimensions": {"use": {"weight": 1, "measures": measures}}}
            ],
            "bands": {"healthy": 70, "watch": 50, "at_risk": 30, "critical": 0},
        },
        "engagement": {},
        "alerts": {
            "rules": [
                {"id": "now", "for": "0s", "clear_for": "0s", **rule},
                {"id": "soon", "for": "6h", "clear_for": "24h", **rule},
            ]
        },
        "routing": {
            "fallback": "cs@example.com",
            "destinations": {"log": {"type": "log"}},
            "to": ["log"],
        },
    }
