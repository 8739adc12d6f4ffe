"""What a notification says: enough for a customer-success manager to act on. Pure."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from services.alerts.alert import Alert, Lane, Reason, digest, outside
from services.alerts.routing import Owner
from services.alerts.rules import NoteKind, Reference, Transition, Was, Way
from services.alerts.wording import (
    Facts,
    account_name,
    message,
    reason_text,
    render_title,
    trends,
)
from shared.events import Driver, Health
from shared.times import iso_time

REASONS_MAX = 3
POINTS_MIN = 0.05
"""What moved the score by less reads 0.0, and is no reason."""
FIRES: frozenset[str] = frozenset({"opened", "reopened", "raised"})
"""Kinds of notes that something fires."""
ENDS: frozenset[str] = frozenset({"resolved", "closed"})


@dataclass(frozen=True)
class Notification:
    """One message, or line of a digest, to one destination. Its id is always the same."""

    id: str
    alert_id: str
    number: int  # that of the event it tells of
    lane: Lane
    kind: NoteKind
    at_ms: int
    way: Way
    body: bytes


def evidence(alert: Alert, title: str, owner: Owner, facts: Facts) -> Alert:
    """The alert, saying what is so now: its owner, score, title and reasons."""
    health = facts.health
    return replace(
        alert,
        owner=owner.name,
        owner_known=owner.known,
        score=health.score,
        title=render_title(title, health, alert.severity),
        reasons=reasons(facts),
    )


def reasons(facts: Facts) -> list[Reason]:
    """The measures that moved the score most, in the rule's direction, since the reference.

    A measure's part is how far it holds the score from the reference's, now less then:
    (contribution − weight × S) − (contribution then − weight then × S), S the reference's score.
    The parts add up to the score's move, and a measure that does well is not blamed for weight
    that it lost to one that does badly.
    """
    drivers = {driver.measure: driver for driver in facts.health.drivers}
    reference = facts.reference
    if reference is None:
        parts = {measure: driver.change for measure, driver in drivers.items()}
        suspects = set(parts)
    else:
        parts = {
            measure: _held(drivers.get(measure), reference.score)
            - _held(reference.measures.get(measure), reference.score)
            for measure in dict.fromkeys([*drivers, *reference.measures])
        }
        suspects = {name for name in parts if _is_suspect(drivers.get(name), reference, facts.sign)}
    moved = [
        (round(part, 2) * facts.sign, measure)
        for measure, part in parts.items()
        if round(part * facts.sign, 2) <= -POINTS_MIN
    ]
    told = [each for each in moved if each[1] in suspects] or moved
    return [
        Reason(measure, part * facts.sign, reason_text(measure, drivers.get(measure), facts, part))
        for part, measure in sorted(told)[:REASONS_MAX]
    ]


def _held(measure: Driver | Was | None, level: float) -> float:
    """How far a measure holds the score from a level, in points."""
    return measure.contribution - measure.weight * level if measure else 0.0


def _is_suspect(driver: Driver | None, reference: Reference, sign: int) -> bool:
    """Whether a measure pulls the score the rule's way: what does well now is no reason."""
    if driver is None or driver.score is None:
        return True
    return sign * driver.score < sign * reference.score


def notification_id(alert_id: str, number: int, kind: str, lane: Lane) -> str:
    """The public id: of an event's message to a destination (and an address there)."""
    return "msg_" + digest(alert_id, str(number), kind, *filter(None, lane))


def compose(
    alert: Alert, event: Transition, lane: Lane, facts: Facts, console_url: str | None
) -> Notification:
    """The message of an event to a destination, as the body of a Standard Webhook."""
    assert event.note is not None
    kind = event.note.kind
    name = notification_id(alert.id, event.number, kind, lane)
    change = {
        "what": kind,
        "at": iso_time(event.at_ms),
        "by": event.by,
        "reason": event.reason,
        "score": facts.health.score,
        "band": facts.health.band,
        **_drop(facts, event.at_ms),
        "account": _account(facts.health),
        "owner_known": alert.owner_known,
        "link": console_url and f"{console_url.rstrip('/')}/alerts/{quote(alert.id)}",
        "text": message(alert, event, facts),
    }
    body = {
        "type": f"alert.{kind}",
        "timestamp": iso_time(event.at_ms),
        "data": {**outside(alert), "change": change, "notification_id": name},
    }
    return Notification(
        id=name,
        alert_id=alert.id,
        number=event.number,
        lane=lane,
        kind=kind,
        at_ms=event.at_ms,
        way=event.note.way,
        body=msgspec.json.encode(body),
    )


def _drop(facts: Facts, at_ms: int) -> dict[str, Any]:
    score, reference = facts.health.score, facts.reference
    change_7d, change_28d = trends(facts.health, at_ms)
    points = None
    if score is not None and reference is not None:
        points = round(score - reference.score, 1)
    return {
        "previous_score": reference.score if reference else None,
        "previous_at": reference.as_of if reference else None,
        "points": points,
        "change_7d": change_7d,
        "change_28d": change_28d,
    }


def _account(health: Health) -> dict[str, Any]:
    profile = health.profile
    return {
        "name": account_name(health),
        "renews_on": profile.get("renews_on"),
        "mrr": profile.get("mrr"),
        "currency": profile.get("currency"),
        "size": profile.get("size"),
        "plan": profile.get("plan"),
        "stage": profile.get("stage"),
    }
