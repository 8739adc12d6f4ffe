"""The alert rules equal their oracle, on any timeline and in any grouping."""

import json
import os
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.alerts.decide import Act as UserAct
from services.alerts.decide import act, decide
from services.alerts.records import decode
from services.alerts.state import Effects, State
from shared.times import time_ms
from tests.alerts.oracle import Oracle
from tests.alerts.timelines import Act, Told, Whom, configs, health, rulebook, timelines
from tests.scoring.histories import HOUR, START, batches, histories
from tests.scoring.oracle import Oracle as ScoringOracle

EXAMPLES = float(os.environ.get("MYAKU_TEST_EXAMPLES", "1"))


def examples(count: int) -> settings:
    """Settings of a test over `count` examples, the same ones each time."""
    return settings(
        max_examples=int(count * EXAMPLES),
        derandomize=EXAMPLES == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@dataclass
class Rules:
    """The rules over a timeline, keeping all that comes out."""

    deliver_history: bool

    def __post_init__(self) -> None:
        self.state = State(0)
        self.effects: list[Effects] = []

    def read(self, records: list[Told]) -> None:
        """Decide on some records together."""
        entries, bad = decode([(0, told.key, told.value) for told in records])
        assert not bad
        self.effects.append(decide(self.state, entries, deliver_history=self.deliver_history))

    def act(self, given: Act) -> None:
        """Let a user act."""
        key = (given.account, given.rule, "")
        reason = given.reason if given.what == "close" else ""
        user_act = UserAct(given.what, "ana", reason)
        self.effects.append(act(self.state, key, user_act, deliver_history=self.deliver_history))

    def said(self) -> Any:
        """Alerts, the events of each, and notifications."""
        events = [
            {
                "alert_id": event.alert_id, "number": event.number, "at": event.at_ms,
                "what": event.what, "severity": event.severity, "score": event.score,
                "by": event.by, "reason": event.reason,
            }
            for effects in self.effects
            for event in effects.events
        ]  # fmt: skip
        notes = [note for effects in self.effects for note in effects.notifications]
        alerts = {
            alert.id: {
                "state": alert.state, "handling": alert.handling, "severity": alert.severity,
                "owner": alert.owner, "score": alert.score, "title": alert.title,
                "reasons": [(reason.measure, reason.change) for reason in alert.reasons],
                "play": alert.play, "opened_at": alert.opened_ms,
                "resolved_at": alert.resolved_ms, "resolved_by": alert.resolved_by,
            }
            for alert in self.state.alerts.values()
        }  # fmt: skip
        return alerts, in_order(events), [noted(note) for note in by_id(notes)]


def by_id(notes: list[Any]) -> list[Any]:
    """Notifications in the order of their ids."""
    return sorted(notes, key=lambda note: note["id"] if isinstance(note, dict) else note.id)


def in_order(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events by alert and number: how those of two alerts interleave, nobody sees."""
    return sorted(events, key=lambda event: (event["alert_id"], event["number"]))


def noted(note: Any) -> dict[str, Any]:
    """A notification as the oracle tells it."""
    body = json.loads(note.body)
    data, change = body["data"], body["data"]["change"]
    names = ("state", "handling", "severity", "owner", "score", "title", "play", "resolved_by")
    assert body["type"] == f"alert.{note.kind}"
    assert data["notification_id"] == note.id
    assert data["id"] == note.alert_id
    return {
        "id": note.id,
        "alert": {name: data[name] for name in names}
        | {
            "reasons": [(reason["measure"], reason["change"]) for reason in data["reasons"]],
            "opened_at": data["opened_at"] and time_ms(data["opened_at"]),
            "resolved_at": data["resolved_at"] and time_ms(data["resolved_at"]),
        },
        "kind": note.kind,
        "at": time_ms(body["timestamp"]),
        "by": change["by"],
        "reason": change["reason"],
        "destination": note.lane[0],
        "address": note.lane[1],
        "way": {"record": "recorded", "adopt": "adopted", "send": "sent"}[note.way],
        "score": change["score"],
        "previous_score": change["previous_score"],
        "previous_at": change["previous_at"],
    }


def by_oracle(timeline: list[Told | Act], *, deliver_history: bool) -> Any:
    """What the oracle says of a timeline."""
    oracle = Oracle(deliver_history)
    for step in timeline:
        if isinstance(step, Told):
            oracle.read(step.value)
        else:
            reason = step.reason if step.what == "close" else ""
            oracle.act(step.account, step.rule, step.what, "ana", reason)
    ledger = oracle.ledger
    return ledger.alerts, in_order(ledger.events), by_id(ledger.notifications)


def possible(timeline: list[Told | Act]) -> list[Told | Act]:
    """Without acts on what does not exist yet: the API refuses them."""
    kept: list[Told | Act] = []
    oracle = Oracle()
    for step in timeline:
        if isinstance(step, Told):
            oracle.read(step.value)
        else:
            standing = oracle.standings.get((step.account, step.rule))
            if standing is None or not standing.is_open or step.rule not in oracle.rule_names():
                continue
            oracle.act(step.account, step.rule, step.what, "ana", step.reason)
        kept.append(step)
    return kept


@given(timeline=timelines(), deliver_history=st.booleans(), together=st.integers(1, 9))
@examples(400)
def test_alerts_are_what_the_oracle_says(
    timeline: list[Told | Act], deliver_history: bool, together: int
) -> None:
    timeline = possible(timeline)
    rules = Rules(deliver_history)
    waiting: list[Told] = []
    for step in timeline:
        if isinstance(step, Told):
            waiting.append(step)
        if isinstance(step, Act) or len(waiting) == together:
            rules.read(waiting)
            waiting = []
        if isinstance(step, Act):
            rules.act(step)
    rules.read(waiting)
    assert rules.said() == by_oracle(timeline, deliver_history=deliver_history)


@given(data=st.data())
@examples(60)
def test_alerts_of_scored_histories_are_what_the_oracle_says(data: st.DataObject) -> None:
    scoring = ScoringOracle()
    modes = data.draw(st.sampled_from((("history",), ("history", "live"))))
    for batch in data.draw(batches(data.draw(histories(modes)))):
        scoring.read_batch([value for _, value in batch])
    told = [Told(key.encode(), json.dumps(body).encode()) for key, body in scoring.outbox]
    rules = data.draw(configs())
    timeline = [rules, *(each for each in told if each.key != rules.key)]
    together = Rules(deliver_history=False)
    together.read(timeline)
    assert together.said() == by_oracle([*timeline], deliver_history=False)


@pytest.mark.parametrize(
    ("again_at", "events", "notes"),
    [
        (7 * HOUR - 1, ["opened", "resolved", "reopened"], ["opened", "resolved"]),
        (7 * HOUR, ["opened", "resolved", "reopened"], ["opened", "resolved", "reopened"]),
        (7 * HOUR + 1, ["opened", "resolved", "opened"], ["opened", "resolved", "opened"]),
    ],
)
def test_the_same_alert_again_and_the_cooldown_end_to_the_millisecond(
    again_at: int, events: list[str], notes: list[str]
) -> None:
    rule = {
        "id": "churn_risk", "kind": "threshold", "title": "It fades",
        "levels": [{"severity": "warning", "trigger": 50, "clear": 60}],
        "cooldown": "6h", "reopen_within": "5h",
    }  # fmt: skip
    told: list[Told | Act] = [rulebook([rule], Whom(["one"]))]
    scores = ((0, 80), (HOUR, 45), (2 * HOUR, 80), (again_at, 45))
    for sequence, (instant, score) in enumerate(scores, start=1):
        step = {"account": "acme", "score": score, "stale": False, "profile": {}, "parts": {}}
        step |= {"late": False, "revision": "r"}
        told.append(health(step, START + instant, sequence, "live"))
    rules = Rules(deliver_history=False)
    rules.read([each for each in told if isinstance(each, Told)])
    assert rules.said() == by_oracle(told, deliver_history=False)
    assert [event.what for effects in rules.effects for event in effects.events] == events
    assert [note.kind for effects in rules.effects for note in effects.notifications] == notes
