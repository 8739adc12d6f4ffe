"""What a notification says: enough for a customer-success manager to act on. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec.structs import replace

from services.alerts.alert import Alert, Reason, digest, outside
from services.alerts.rules import Reference, Transition, Was
from shared.events import Driver, Health
from shared.times import iso_time

REASONS_MAX = 3
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Notification:
    """One message to one destination. Its id is the same however often it is sent or made."""

    id: str
    alert_id: str
    number: int  # that of the event it tells of
    destination: str
    kind: str
    at_ms: int
    deliver: bool
    body: bytes


@dataclass(frozen=True)
class Facts:
    """What a message is made of, beside the alert itself."""

    health: Health
    reference: Reference | None
    sign: int = 1  # 1 for a rule that looks below, −1 for one that looks above


def evidence(alert: Alert, title: str, owner: str, facts: Facts) -> Alert:
    """The alert, saying what is so now: its owner, score, title and reasons."""
    health = facts.health
    return replace(
        alert,
        owner=owner,
        score=health.score,
        title=render_title(title, health, alert.severity),
        reasons=reasons(facts),
    )


def render_title(title: str, health: Health, severity: str | None) -> str:
    """`{{ account.name }}`, `{{ account.id }}`, `{{ score }}`, `{{ band }}`, `{{ severity }}` and
    `{{ profile.field }}` are replaced; any other name in braces stays as it is."""
    values = {
        "account.name": account_name(health),
        "account.id": health.account_id,
        "score": _number(health.score),
        "band": _words(health.band or "unknown"),
        "severity": severity or "",
    }
    values |= {f"profile.{field}": str(value) for field, value in health.profile.items()}
    return re.sub(r"\{\{\s*([\w.]+)\s*\}\}", lambda found: values.get(found[1], found[0]), title)


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
        if round(part * facts.sign, 2) < 0
    ]
    told = [each for each in moved if each[1] in suspects] or moved
    return [
        Reason(measure, part * facts.sign, _reason(measure, drivers.get(measure), facts, part))
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


def _reason(measure: str, driver: Driver | None, facts: Facts, part: float) -> str:
    label = _measure(measure)
    if driver is None:
        return f"{label} is no longer measured."
    then = facts.reference.measures.get(measure) if facts.reference else None
    known = "is not known" if driver.value is None else f"is {_number(driver.value)}"
    was = _was(then, driver.value)
    verb = "which costs" if part * facts.sign < 0 else "which adds"
    return f"{label} {known}{was}, {verb} {abs(part):.1f} points."


def _was(then: Was | None, value: float | None) -> str:
    if then is None or then.value is None or then.value == value:
        return ""
    return f" (was {_number(then.value)})"


def _measure(measure: str) -> str:
    label = re.sub(r"_(\d+)d$", r" in \1 days", measure).replace("_", " ")
    return label[:1].upper() + label[1:]


def compose(alert: Alert, event: Transition, destination: str, facts: Facts) -> Notification:
    """The message of an event to a destination, as the body of a Standard Webhook."""
    assert event.note is not None
    kind = event.note.kind
    notification_id = "msg_" + digest(alert.id, str(event.number), kind, destination)
    change = {
        "what": kind,
        "at": iso_time(event.at_ms),
        "by": event.by,
        "reason": event.reason,
        "score": facts.health.score,
        "band": facts.health.band,
        **_drop(facts),
        "account": _account(facts.health),
        "text": message(alert, event, facts),
    }
    body = {
        "type": f"alert.{kind}",
        "timestamp": iso_time(event.at_ms),
        "data": {**outside(alert), "change": change, "notification_id": notification_id},
    }
    return Notification(
        id=notification_id,
        alert_id=alert.id,
        number=event.number,
        destination=destination,
        kind=kind,
        at_ms=event.at_ms,
        deliver=event.note.deliver,
        body=msgspec.json.encode(body),
    )


def _drop(facts: Facts) -> dict[str, Any]:
    score, reference = facts.health.score, facts.reference
    points = None
    if score is not None and reference is not None:
        points = round(score - reference.score, 1)
    return {
        "previous_score": reference.score if reference else None,
        "previous_at": reference.as_of if reference else None,
        "points": points,
        "change_7d": facts.health.change_7d,
        "change_28d": facts.health.change_28d,
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


def message(alert: Alert, event: Transition, facts: Facts) -> str:
    """The message in words: what happened, why, and what is at stake."""
    lines = [_headline(alert, event, facts)]
    if event.note and event.note.kind in ("opened", "reopened", "raised"):
        lines += [f"- {reason.text}" for reason in alert.reasons]
    lines.append(_stake(facts.health.profile, alert.owner))
    if alert.play:
        lines.append(f"What to do: {alert.play}")
    return "\n".join(lines)


def _headline(alert: Alert, event: Transition, facts: Facts) -> str:
    name = account_name(facts.health)
    kind = event.note.kind if event.note else ""
    if kind == "acknowledged":
        return f"{event.by} has taken on the alert for {name}."
    if kind == "closed":
        return f"{event.by} closed the alert for {name}: {_words(event.reason)}."
    if kind == "resolved":
        return _ended(alert, event, facts.health)
    return f"{name} is at {_score(facts.health)}{_fall(facts)}."


def _ended(alert: Alert, event: Transition, health: Health) -> str:
    name = account_name(health)
    if event.by == "rule":
        return f"The alert for {name} ends: the rule {alert.rule} is no longer in use."
    if event.by == "account":
        return f"The alert for {name} ends: the account was closed or is excluded."
    days = (event.at_ms - (alert.opened_ms or event.at_ms)) // DAY_MS
    lasted = {0: "less than a day", 1: "1 day"}.get(days, f"{days} days")
    return f"{name} is back at {_score(health)}; the alert was open for {lasted}."


def _score(health: Health) -> str:
    return f"{_number(health.score)} ({_words(health.band or 'no band')})"


def _fall(facts: Facts) -> str:
    """`, 24.3 points below the 72.3 of 2026-11-02; −8.6 in 7 days`: what is known of it."""
    health, reference = facts.health, facts.reference
    said = ""
    if reference and health.score is not None:
        points = health.score - reference.score
        side = "below" if points <= 0 else "above"
        day = reference.as_of[:10]
        said = f", {abs(points):.1f} points {side} the {_number(reference.score)} of {day}"
    trends = ((health.change_7d, 7), (health.change_28d, 28))
    moves = [f"{change:+.1f} in {days} days" for change, days in trends if change is not None]
    return said + ("; " + ", ".join(moves) if moves else "")


def _stake(profile: Mapping[str, Any], owner: str) -> str:
    renews = profile.get("renews_on")
    renewal = f"Renews on {renews}" if renews else "Renewal date unknown"
    return f"{renewal}; {_mrr(profile)}; owner {owner}."


def _mrr(profile: Mapping[str, Any]) -> str:
    if profile.get("mrr") is None:
        return "MRR unknown"
    try:
        amount = f"{Decimal(str(profile['mrr'])):,}"
    except InvalidOperation:
        amount = str(profile["mrr"])
    return f"MRR {amount} {profile.get('currency') or ''}".strip()


def account_name(health: Health) -> str:
    """The account's name, or its id where it has none."""
    name = health.profile.get("name")
    return name if isinstance(name, str) and name else health.account_id


def _number(value: float | None) -> str:
    if value is None:
        return "unknown"
    if 0 < abs(value) < 1:
        return f"{value:.2g}"
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _words(name: str) -> str:
    return name.replace("_", " ")
