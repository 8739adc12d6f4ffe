"""A random log of one partition, for what saves, loads and commits it."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from services.scoring.engine import RawRecord
from shared.configuration import revision
from shared.events import CONFIG, TICK, Config, Erasure, Mode, Tick, control_key, encode
from shared.times import iso_time

DAY_MS = 86_400_000
START_MS = 20_000 * DAY_MS
IDS = ("acme", "a/b?c=d#e", "Ünïcode ∞ 会社", "'; DROP TABLE scoring.account; --", "x" * 128)
TYPES = ("used", "used", "other", "account.updated", "survey.answered", "subscription.started",
         "account.closed", "opened", "closed", "user.joined")  # fmt: skip
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -7,
    12.5,
    1e22,
    1e300,
    2**70,
    -(2**63),
    "1200.00",
    "S",
    "M",
    "",
    "\\u0000 is text here",
    'quo"te',
    [1, [None, {"z": 1, "aa": 2}]],
    {"zz": 1, "a": {"b": [0.1, -0.0]}},
)


def document(*, seats: bool = True, window: str = "28d") -> dict[str, Any]:
    """A configuration with a metric of every kind; others have other signals."""
    metrics: dict[str, Any] = {
        "users": {"users": "active", "window": window},
        "uses": {"count": "active", "window": window},
        "more": {"change": "uses", "against": "14d"},
        "silent": {"since_last": "*"},
        "days": {"days": "*", "window": "90d"},
        "silence": {"silence_risk": "*"},
        "pace": {"rate": "uses", "against": "60d"},
        "open": {"open": "ticket", "of": "opened", "closed_by": "closed"},
        "features": {"distinct": "feature", "of": "used", "window": "7d"},
        "amount": {"sum": "amount", "of": "used", "window": "90d"},
        "nps": {"latest": "score", "of": "survey.answered", "expires": "30d"},
    }
    if seats:
        metrics["rate"] = {"ratio": ["users", "profile.seats"]}
        metrics["ranked"] = {"ranked_users": "B"}
    else:
        del metrics["features"], metrics["amount"]
        metrics["sums"] = {"sum": "other", "of": "used", "window": "30d"}
    measures = {name: {"weight": 1 + at, "curve": [[0, 0], [9, 100]]} for at, name in
                enumerate(metrics)}  # fmt: skip
    dimension = {"use": {"weight": 1, "measures": measures}}
    steps: dict[str, Any] = {"weight": 3, "steps": [[0, 0], [7, 50], [9, 100]]}
    cap = {"id": "capped", "when": {"silent": {"above": 3}}, "cap": 30, "reason": "silent"}
    fine = {"id": "fined", "when": {"profile.mrr": [0, 12.5]}, "penalty": 5, "reason": "cheap"}
    others: dict[str, Any] = {"use": {"weight": 1, "measures": measures | {"nps": steps}}}
    gate = {"measure": "uses", "takes": 0.5}
    del others["use"]["measures"]["uses"]
    return {
        "product": {
            "time_zone": "Asia/Tokyo",
            "events": {"active": ["*"]},
            "sources": {"app": {"expected_every": "2d"}, "never": {"expected_every": "1h"}},
            "signals": {"key_user": {"quiet_after": "2d" if window == "28d" else "5d"}},
        },
        "scorecards": {
            "metrics": metrics,
            "scorecards": [
                {"id": "small", "when": {"profile.size": "S"}, "dimensions": dimension,
                 "rules": [cap, fine][:: 1 if seats else -1]},
                {"id": "others", "dimensions": others, "floor_share": 0.7, "gate": gate,
                 "rules": [fine]},
            ],
            "bands": {"healthy": 70, "watch": 50, "at_risk": 30, "critical": 0},
        },
        "engagement": engagement(window) if seats else {},
        "alerts": {"rules": []},
        "routing": {"fallback": "cs@example.com", "destinations": {"log": {"type": "log"}},
                    "to": ["log"]},
    }  # fmt: skip


def engagement(window: str) -> dict[str, Any]:
    """Ranks that a few days of use reach."""
    return {
        "usage": {"of": "active", "window": window, "full_days": 2, "points": 60},
        "signals": {"other": {"of": "other", "window": "90d", "points": 15, "cap": 40}},
        "ranks": {"SS": {"score": 90, "usage_rate": 0.9}, "S": {"score": 70},
                  "A": {"score": 50}, "B": {"score": 30}, "C": {"score": 10}},
    }  # fmt: skip


def config(body: dict[str, Any]) -> tuple[bytes, bytes]:
    """A configuration's record."""
    return CONFIG.encode(), encode(Config(revision(body), body))


def tick(at_ms: int, mode: Mode = "history", **newest_ms: int) -> tuple[bytes, bytes]:
    """A tick of the only source partition, with the newest event times of sources."""
    sources = {source: iso_time(newest) for source, newest in newest_ms.items()}
    rejected = dict.fromkeys(sources, 1)
    return TICK.encode(), encode(Tick(0, 1, iso_time(at_ms), mode, sources, rejected))


def erasure(user: str, at_ms: int) -> tuple[bytes, bytes]:
    """The record of an erased user."""
    erased = Erasure(user, iso_time(at_ms))
    return control_key(erased), encode(erased)


def event(identity: str, at_ms: int, **fields: Any) -> tuple[bytes, bytes]:
    """An accepted event of `acme`, unless the fields say otherwise."""
    body = {"id": identity, "type": "used", "account_id": "acme", "source": "app"}
    at = iso_time(at_ms)
    body |= {"time": at, "received_at": at, "properties": {}} | fields
    return body["account_id"].encode(), encode(body)


@dataclass
class RandomLog:
    """Records without end: events of all kinds, late, early and double, ticks, configurations."""

    seed: int
    chance: random.Random = field(init=False)
    now_ms: int = START_MS
    leaps_days: tuple[int, ...] = (1, 1, 1, 2, 9, 140)
    sent: list[tuple[bytes, bytes]] = field(default_factory=list)
    live: bool = False

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def batches(self, count: int) -> Iterator[list[RawRecord]]:
        """That many batches, offsets from 0."""
        offset = 0
        for at in range(count):
            size = self.chance.randint(1, 40)
            records = [config(document())] if at == 0 else []
            records += [self._record() for _ in range(size)]
            if at == count * 2 // 3:
                self.live = True
            yield [RawRecord(offset + place, *record) for place, record in enumerate(records)]
            offset += len(records)

    def _record(self) -> tuple[bytes, bytes]:
        kind = self.chance.random()
        if kind < 0.15:
            leap = self.chance.choice(self.leaps_days) * self.chance.random()
            self.now_ms += round(leap * DAY_MS)
            newest = {
                source: max(0, self.now_ms - round(self.chance.random() * 9 * DAY_MS))
                for source in self.chance.sample(("app", "web", "mail"), self.chance.randint(0, 2))
            }
            return tick(self.now_ms, "live" if self.live else "history", **newest)
        if kind < 0.17:
            seats, window = self.chance.choice(((True, "28d"), (False, "28d"), (True, "60d")))
            return config(document(seats=seats, window=window))
        if kind < 0.25 and self.sent:
            return self.chance.choice(self.sent)
        if kind < 0.27:
            return b"acme", self.chance.choice((b"\xff", b"{", b'{"properties":{"a":1e999}}'))
        if kind < 0.29:
            return erasure(self.chance.choice(("u1", "ü" * 128)), self.now_ms - DAY_MS)
        record = self._event()
        self.sent.append(record)
        return record

    def _event(self) -> tuple[bytes, bytes]:
        chance = self.chance
        kind = chance.choice(TYPES)
        properties: dict[str, Any] = {"feature": chance.choice(("a", "b", 1, 1.0, True, None))}
        if kind == "used":
            properties["amount"] = chance.choice((1, 0.1, "2.5", 10**9, 10**12, None))
        elif kind in ("opened", "closed"):
            properties["ticket"] = chance.choice(("t1", "t2", 3))
        elif kind == "survey.answered":
            properties["score"] = chance.choice((0, 9, "x", 3.3))
            properties["survey"] = "nps"
        elif kind == "user.joined":
            properties["known_at"] = ["beta"]
        else:
            fields = chance.sample(("size", "seats", "mrr", "name", "other"), 2)
            properties |= {name: chance.choice(VALUES) for name in fields}
        ago = chance.choice((0, 0, 0.5, 3, 40, 119, 130, -1, -20, 4000)) * DAY_MS
        return event(
            f"e{chance.randint(0, 10**9)}",
            max(0, round(self.now_ms - ago - chance.random() * 3_600_000)),
            type=kind,
            account_id=chance.choice(IDS),
            source=chance.choice(("app", "app", "web", "ünï'x")),
            user_id=chance.choice((None, "u1", "u2", "ü" * 128)),
            properties=properties,
            received_at=iso_time(self.now_ms),
        )
