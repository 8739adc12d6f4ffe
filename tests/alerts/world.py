"""A small world for the tests of alerts: records as scoring would send them, by the hour."""

import math
from pathlib import Path
from typing import Any

import msgspec

from services.alerts.decide import decide
from services.alerts.records import RawRecord, decode
from services.alerts.state import Effects, State
from shared.configuration import revision
from shared.configuration.files import read_document
from shared.events import (
    BARRIER,
    CONFIG,
    TICK,
    Barrier,
    Config,
    Driver,
    Health,
    Mode,
    ScorecardName,
    Tick,
    encode,
)
from shared.times import iso_time

CONFIG_DIR = Path(__file__).resolve().parents[2] / "config"
DOCUMENT = read_document(CONFIG_DIR)
T0_MS = 1_772_442_000_000  # 2026-03-02T09:00:00Z
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
LEVELS = [
    {"severity": "warning", "trigger": 60, "clear": 65},
    {"severity": "critical", "trigger": 40, "clear": 50},
]
RULE: dict[str, Any] = {
    "id": "churn_risk",
    "title": "Churn risk: {{ account.name }} at {{ score }}",
    "kind": "threshold",
    "levels": LEVELS,
    "for": "6h",
    "clear_for": "24h",
    "play": "Call them.",
}
AT_ONCE: dict[str, Any] = {**RULE, "for": "0s", "clear_for": "0s"}
ROUTING: dict[str, Any] = {
    "fallback": "cs-ops",
    "destinations": {"log": {"type": "log"}},
    "to": ["log"],
}
PROFILE = {
    "name": "Acme",
    "csm": "ana@example.com",
    "mrr": "1200.00",
    "currency": "EUR",
    "renews_on": "2026-05-01",
}


def at_ms(hours: float) -> int:
    """The instant so many hours after the beginning."""
    return T0_MS + round(hours * HOUR_MS)


def config(*rules: dict[str, Any], **routing: Any) -> RawRecord:
    """A configuration of these rules (without any: RULE)."""
    alerts = {"rules": list(rules or (RULE,))}
    document = {**DOCUMENT, "alerts": alerts, "routing": {**ROUTING, **routing}}
    return 0, CONFIG.encode(), encode(Config(revision(document), document))


def no_rules() -> RawRecord:
    """A configuration without rules."""
    document = {**DOCUMENT, "alerts": {"rules": []}, "routing": ROUTING}
    return 0, CONFIG.encode(), encode(Config(revision(document), document))


def passed_on(configuration: RawRecord, sequence: int) -> RawRecord:
    """A configuration as scoring passes it on: the `sequence`th of its partition."""
    offset, key, value = configuration
    record = msgspec.json.decode(value or b"", type=Config)
    return offset, key, encode(msgspec.structs.replace(record, sequence=sequence))


def tick(hours: float, mode: Mode = "live") -> RawRecord:
    """The clock comes to an hour."""
    return 0, TICK.encode(), encode(Tick(0, 1, iso_time(at_ms(hours)), mode))


def barrier(name: str) -> RawRecord:
    """A barrier."""
    return 0, BARRIER.encode(), encode(Barrier(name))


def health(
    hours: float, score: float | None, sequence: int, account: str = "acme", **others: Any
) -> RawRecord:
    """An account's health at an hour: half of the score from use, half from breadth."""
    half = None if score is None else round(score / 2, 2)
    drivers = [
        Driver("active_users_28d", 7.0, score, 0.5, half or 0.0, 0.0, "events"),
        Driver("features_28d", 3.0, score, 0.5, half or 0.0, 0.0, "events"),
    ]
    fields: dict[str, Any] = {
        "account_id": account,
        "as_of": iso_time(at_ms(hours)),
        "sequence": sequence,
        "score": score,
        "band": None if score is None else "watch",
        "coverage": 1.0,
        "mode": "live",
        "previous": None,
        "change_7d": -8.6,
        "change_28d": None,
        "scorecard": ScorecardName("any_size", "sha256:1"),
        "dimensions": [],
        "drivers": drivers,
        "profile": PROFILE,
    }
    return 0, account.encode(), encode(Health(**{**fields, **others}))


class World:
    """One partition without a database: what happened, hour by hour."""

    def __init__(self, *rules: dict[str, Any], deliver_history: bool = False) -> None:
        self.state = State(0)
        self.deliver_history = deliver_history
        self.sequence = 0
        self.told: list[Effects] = []
        self.read(config(*rules), tick(-1), tick(-1))

    def read(self, *records: RawRecord) -> Effects:
        """Handle records as one batch."""
        entries, bad = decode(records)
        assert not bad
        effects = decide(self.state, entries, deliver_history=self.deliver_history)
        self.told.append(effects)
        return effects

    def score(self, hours: float, score: float | None, **others: Any) -> Effects:
        """The account's score is another."""
        self.sequence += 1
        ticks = self.hours_until(hours, others.get("mode", "live"))
        return self.read(*ticks, health(hours, score, self.sequence, **others))

    def advance(self, hours: float, mode: Mode = "live") -> Effects:
        """The clock comes to an hour, an hour at a time."""
        return self.read(*self.hours_until(hours, mode), tick(hours, mode))

    def hours_until(self, hours: float, mode: Mode = "live") -> list[RawRecord]:
        """Ticks, an hour apart, from the newest one to shortly before an hour."""
        assert self.state.tick_ms is not None
        newest = (self.state.tick_ms - T0_MS) / HOUR_MS
        return [tick(newest + hour, mode) for hour in range(1, math.ceil(hours - newest))]

    @property
    def events(self) -> list[tuple[str, float]]:
        """What happened: (what, hour)."""
        return [
            (event.what, (event.at_ms - T0_MS) / HOUR_MS)
            for effects in self.told
            for event in effects.events
        ]

    @property
    def notes(self) -> list[tuple[str, float]]:
        """What is delivered: (kind, hour)."""
        return [
            (note.kind, (note.at_ms - T0_MS) / HOUR_MS)
            for effects in self.told
            for note in effects.notifications
            if note.way == "send"
        ]

    @property
    def lines(self) -> list[tuple[str, float]]:
        """What goes into digests: (kind, hour)."""
        return [
            (note.kind, (note.at_ms - T0_MS) / HOUR_MS)
            for effects in self.told
            for note in effects.notifications
            if note.way == "adopt"
        ]

    @property
    def alerts(self) -> list[tuple[str, str | None, int]]:
        """(state, severity, episode) of every alert, in the order of their episodes."""
        kept = sorted(self.state.alerts.values(), key=lambda alert: alert.episode)
        return [(alert.state, alert.severity, alert.episode) for alert in kept]
