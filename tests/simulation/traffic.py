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
    """Makes events; `ahead` says whether some are of days to come."""

    chance: random.Random
    ahead: bool
    now_ms: int = START_MS
    ledger: Ledger = field(default_factory=Ledger)
    sent: list[dict[str, Any]] = field(default_factory=list)

    def some(self, count: int) -> Iterator[tuple[str, bytes | None]]:
        """The accounts and bytes of some records; what is not an event is of any account."""
        chance, ledger = self.chance, self.ledger
        for _ in range(count):
            kind = chance.random()
            if kind < 0.06:
                ledger.poison += 1
                yield chance.choice(ACCOUNTS), chance.choice(POISON)
            elif kind < 0.25 and self.sent:
                ledger.duplicates += 1
                again = chance.choice(self.sent[-40:])
                yield again["account_id"], encode(again)
            else:
                event = self._event()
                self.sent.append(event)
                yield event["account_id"], encode(event)

    def _event(self) -> dict[str, Any]:
        chance, ledger = self.chance, self.ledger
        ago = chance.choice(AGO_DAYS)
        if chance.random() < 0.04:
            ago = TOO_OLD_DAYS
        elif self.ahead and chance.random() < 0.06:
            ago = -1.0
        time_ms = self.now_ms - round(ago * DAY_MS) - chance.randrange(60_000)
        account = chance.choice(ACCOUNTS)
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
