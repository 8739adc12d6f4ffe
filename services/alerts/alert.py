"""An alert and its events as they are kept, and as the outside sees them. Pure."""

import hashlib
from typing import Any

import msgspec
from msgspec.structs import replace

from services.alerts.rules import OPEN, Transition
from shared.times import iso_time


class Reason(msgspec.Struct, frozen=True):
    """One measure's part in an alert: the points it took, and a sentence."""

    measure: str
    change: float
    text: str


Lane = tuple[str, str]
"""A destination, and the e-mail address there; empty where a destination is one receiver."""


class Alert(msgspec.Struct, frozen=True):
    """One alert. Owner, score, title and reasons are those of when it was last news."""

    id: str
    rule: str
    account_id: str
    subject: str
    episode: int
    state: str  # pending, firing, recovering or resolved
    handling: str
    severity: str | None
    owner: str
    score: float | None
    title: str
    reasons: list[Reason]
    play: str
    began_ms: int
    opened_ms: int | None
    resolved_ms: int | None
    resolved_by: str | None
    owner_known: bool = True
    told_to: list[Lane] = []
    """Where notes that it fires went since it opened: there its end is told."""


class Event(msgspec.Struct, frozen=True):
    """One event in an alert's life; `number` counts those of the standing from 1."""

    alert_id: str
    number: int
    at_ms: int
    what: str
    severity: str | None
    score: float | None
    by: str
    reason: str


def alert_id(rule: str, account_id: str, subject: str, episode: int) -> str:
    """The public id: the same wherever, and however often, the same history is read."""
    return "al_" + digest(rule, account_id, subject, str(episode))


def begun(name: str, transition: Transition) -> Alert:
    """An alert at its first event."""
    standing = transition.standing
    return Alert(
        id=name,
        rule=standing.rule,
        account_id=standing.account_id,
        subject=standing.subject,
        episode=transition.episode,
        state="pending",
        handling="new",
        severity=transition.severity,
        owner="",
        score=None,
        title="",
        reasons=[],
        play="",
        began_ms=transition.at_ms,
        opened_ms=None,
        resolved_ms=None,
        resolved_by=None,
    )


def moved(alert: Alert, transition: Transition) -> Alert:
    """The alert in the state that an event brings it to."""
    after = transition.standing
    alert = replace(
        alert,
        state="resolved" if after.state == "normal" else after.state,
        handling=after.handling,
        severity=transition.severity,
    )
    if after.state in OPEN:
        return replace(alert, opened_ms=after.opened_ms, resolved_ms=None, resolved_by=None)
    if transition.what in ("resolved", "closed"):
        by = "user" if transition.what == "closed" else transition.by
        return replace(alert, resolved_ms=transition.at_ms, resolved_by=by)
    return alert


def digest(*parts: str) -> str:
    """32 hexadecimal digits that stand for the parts."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


def outside(alert: Alert) -> dict[str, Any]:
    """The alert in the shape of the contract; its events are not in it."""
    return {
        "id": alert.id,
        "rule": alert.rule,
        "account_id": alert.account_id,
        "subject": alert.subject,
        "episode": alert.episode,
        "state": alert.state,
        "handling": alert.handling,
        "severity": alert.severity,
        "owner": alert.owner,
        "score": alert.score,
        "title": alert.title,
        "reasons": [msgspec.structs.asdict(reason) for reason in alert.reasons],
        "play": alert.play,
        "opened_at": None if alert.opened_ms is None else iso_time(alert.opened_ms),
        "resolved_at": None if alert.resolved_ms is None else iso_time(alert.resolved_ms),
        "resolved_by": alert.resolved_by,
    }


def outside_event(event: Event) -> dict[str, Any]:
    """An event as a single alert shows it."""
    return {
        "number": event.number,
        "at": iso_time(event.at_ms),
        "what": event.what,
        "severity": event.severity,
        "score": event.score,
        "by": event.by,
        "reason": event.reason,
    }
