"""What the product's backends send in a run, drawn from the seed; and what should come of it."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.times import iso_time
from tests.alerts.world import LEVELS
from tests.operations.world import RULE
from tests.scoring.documents import document as scored

SECOND_MS, MINUTE_MS, DAY_MS = 1_000, 60_000, 86_400_000
START_MS = int(datetime(2026, 3, 2, 22, tzinfo=UTC).timestamp() * 1000)
ACCOUNTS = [f"account-{number:02}" for number in range(40)]
UNHAPPY = ACCOUNTS[::3]
"""Who gives the lowest mark once in the run: each of them is an alert, and nobody else is."""

USE = "page.viewed"
LATE_DAYS_MAX = 85
TOO_OLD_DAYS = 200
REMEMBERED = 500
"""So many of the events before may come once more."""

METRICS: dict[str, Any] = {
    "events_120d": {"count": "*", "window": "120d"},
    "amount_120d": {"sum": "amount", "of": "*", "window": "120d"},
    "users_28d": {"users": "*", "window": "28d"},
    "features_10d": {"distinct": "feature", "of": "*", "window": "10d"},
    "silent": {"since_last": "*"},
    "nps": {"latest": "score", "of": "survey.answered", "where": {"survey": "nps"}},
}
SCORECARD = {
    "id": "all",
    "dimensions": {
        "voice": {"weight": 70, "measures": {"nps": {"weight": 1, "curve": [[0, 0], [10, 100]]}}},
        "use": {
            "weight": 30,
            "measures": {
                "events_120d": {"weight": 1, "curve": [[0, 0], [200, 100]]},
                "amount_120d": {"weight": 1, "curve": [[0, 0], [4000, 100]]},
                "users_28d": {"weight": 1, "curve": [[0, 0], [8, 100]]},
                "features_10d": {"weight": 1, "curve": [[0, 0], [12, 100]]},
                "silent": {"weight": 1, "curve": [[0, 100], [3, 0]]},
            },
        },
    },
}
ODD: tuple[Any, ...] = (
    "\ud800",
    10**400,
    float("nan"),
    float("inf"),
    "1\u202e",
    {"a": [[[]]]},
    -0.0,
    True,
    "\x7f",
)
"""Values that JSON, UTF-8 or a database may stumble over, and that are accepted all the same."""


def document(webhook: str) -> dict[str, Any]:
    """The configuration: all that is told goes to the webhook."""
    hook = {"type": "webhook", "url": webhook, "secret": "secret://hook"}
    routing = {"fallback": "ops", "destinations": {"hook": hook}, "to": ["hook"]}
    alerts = {"rules": [{**RULE, "levels": LEVELS}]}
    return {**scored(METRICS, SCORECARD), "alerts": alerts, "routing": routing}


@dataclass(frozen=True)
class Good:
    """An event that is to be counted once."""

    account: str
    day: int
    amount: int
    too_old: bool
    is_use: bool
    """What a survey says, or that a user has joined, is no use of the product."""


@dataclass(frozen=True)
class Sent:
    """A record on its way to `usage.events`; what is no text can only go through Kafka."""

    value: bytes
    key: bytes | None = None
    is_text: bool = True


@dataclass
class Ledger:
    """All that was sent, by id: the truth of the run."""

    good: dict[str, Good] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    """The reasons for which these are to be refused."""
    repeated: int = 0

    def counted(self) -> Counter[tuple[str, int]]:
        """How many events each account has on each day."""
        return Counter((e.account, e.day) for e in self.good.values() if e.is_use and not e.too_old)

    def amounts(self) -> Counter[tuple[str, int]]:
        """The sum of the amounts of each account on each day."""
        sums = Counter[tuple[str, int]]()
        for one in self.good.values():
            sums[one.account, one.day] += 0 if one.too_old else one.amount
        return +sums


class Traffic:
    """Draws what is sent next; the ledger knows it from then on."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.ledger = Ledger()
        self.before: list[Sent] = []
        self.to_join: list[tuple[str, str]] = []
        self.happy = list(UNHAPPY)
        self.repeats_of_100 = self.dice.choice((0, 10, 50))

    def first(self, now_ms: int) -> list[Sent]:
        """Everybody is content: nobody is to look unhappy before they said so."""
        return [self._survey(account, now_ms, 10) for account in ACCOUNTS]

    def complaint(self, now_ms: int) -> list[Sent]:
        """One more account is unhappy; empty when all have said so."""
        return [self._survey(self.happy.pop(), now_ms, 0)] if self.happy else []

    def some(self, count: int, now_ms: int) -> list[Sent]:
        """So many events, out of order, some twice, late, in the future, or poison."""
        found = [one for _ in range(count) for one in self._one(now_ms)]
        again = sum(self.dice.randrange(100) < self.repeats_of_100 for _ in range(count))
        if self.before:
            found += [self.dice.choice(self.before) for _ in range(again)]
            self.ledger.repeated += again
        self.dice.shuffle(found)
        return found

    def rest(self, now_ms: int) -> list[Sent]:
        """What parked events still wait for, and the accounts that are still content."""
        complaints = [one for _ in list(self.happy) for one in self.complaint(now_ms)]
        return complaints + [self._join(now_ms) for _ in list(self.to_join)]

    def _one(self, now_ms: int) -> Iterator[Sent]:
        kind = self.dice.randrange(100)
        if kind < 5:
            yield self._poison(now_ms)
        elif kind < 8:
            yield self._parked(now_ms)
        elif kind < 10 and self.to_join:
            yield self._join(now_ms)
        else:
            days = 0
            if kind < 16:
                days = self.dice.randrange(1, LATE_DAYS_MAX)
            elif kind < 18:
                days = TOO_OLD_DAYS
            yield self._use(now_ms - days * DAY_MS, is_odd=kind > 95)

    def _survey(self, account: str, now_ms: int, mark: int) -> Sent:
        return self._good(
            account, now_ms, type="survey.answered", properties={"survey": "nps", "score": mark}
        )

    def _use(self, now_ms: int, *, is_odd: bool) -> Sent:
        account = self.dice.choice(ACCOUNTS)
        amount = self.dice.randrange(100)
        properties: dict[str, Any] = {
            "feature": f"f-{self.dice.randrange(12)}",
            "amount": amount,
            **({"odd": self.dice.choice(ODD)} if is_odd else {}),
        }
        user = f"{account}-{self.dice.randrange(8)}"
        at_ms = now_ms - self.dice.randrange(MINUTE_MS)
        return self._good(account, at_ms, user_id=user, properties=properties)

    def _parked(self, now_ms: int) -> Sent:
        """An event whose account is known only when its user has joined."""
        account, user = self.dice.choice(ACCOUNTS), f"joins-{len(self.ledger.good)}"
        self.to_join.append((user, account))
        return self._good(account, now_ms, user_id=user, is_named=False)

    def _join(self, now_ms: int) -> Sent:
        user, account = self.to_join.pop(self.dice.randrange(len(self.to_join)))
        return self._good(account, now_ms, type="user.joined", user_id=user)

    def _good(self, account: str, at_ms: int, *, is_named: bool = True, **others: Any) -> Sent:
        name = f"good-{len(self.ledger.good)}"
        event: dict[str, Any] = {"id": name, "source": "chaos", "type": USE, "properties": {}}
        event |= {"time": iso_time(at_ms), **({"account_id": account} if is_named else {})}
        event |= others
        amount = event["properties"].get("amount", 0)
        too_old = at_ms < START_MS - (LATE_DAYS_MAX + 1) * DAY_MS
        self.ledger.good[name] = Good(
            account, at_ms // DAY_MS, amount, too_old, event["type"] == USE
        )
        sent = Sent(json.dumps(event).encode())
        self.before = [*self.before[-REMEMBERED:], sent]
        return sent

    def _poison(self, now_ms: int) -> Sent:
        name = f"bad-{len(self.ledger.bad)}"
        reason, sent = self.dice.choice(list(_poisons(name, now_ms)))
        self.ledger.bad[name] = reason
        return sent


def _poisons(name: str, now_ms: int) -> Iterator[tuple[str, Sent]]:
    """One of each kind, with the reason for which it is refused; the key or the value names it."""
    key = name.encode()
    event = {"id": name, "type": "x", "account_id": "acme", "time": iso_time(now_ms)}
    deep = json.loads("[" * 9 + "]" * 9)
    yield "undecodable", Sent(b'{"id": "%b", "ty' % key, is_text=False)
    yield "undecodable", Sent(b'{"id": "%b", "x": "\xff\xc0"}' % key, is_text=False)
    yield "undecodable", Sent(b'["%b"]' % key, is_text=False)
    yield "undecodable", Sent(b"", key, is_text=False)
    yield "undecodable", Sent(b"\0" * 100, key, is_text=False)
    yield "bad_properties", Sent(json.dumps(event | {"properties": {"d": deep}}).encode())
    yield "bad_properties", Sent(json.dumps(event | {"properties": {"d": "a\0b"}}).encode())
    yield "bad_properties", Sent(json.dumps(event | {"properties": [1]}).encode())
    yield "too_large", Sent(json.dumps(event | {"properties": {"d": "x" * 40_000}}).encode())
    yield "bad_time", Sent(json.dumps(event | {"time": "noon"}).encode())
    yield "bad_time", Sent(json.dumps(event | {"time": 2**63}).encode())
    yield "future_time", Sent(json.dumps(event | {"time": "2036-01-01T00:00:00Z"}).encode())
    yield "bad_type", Sent(json.dumps(event | {"type": "myaku.tick"}).encode())
    yield "bad_type", Sent(json.dumps(event).encode(), b"myaku.tick", is_text=False)
    yield "unknown_account", Sent(json.dumps(event | {"account_id": 7}).encode())
