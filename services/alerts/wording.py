"""What a notification says in words. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from services.alerts.alert import Alert
from services.alerts.rules import Reference, Transition, Was
from shared.events import Driver, Health
from shared.times import time_ms

DAY_MS = 86_400_000
CURRENT_MS_MAX = 2 * DAY_MS
"""A record stands until something in it changes: older than this, it tells no trend."""


@dataclass(frozen=True)
class Facts:
    """What a message is made of, beside the alert itself."""

    health: Health
    reference: Reference | None
    sign: int = 1  # 1 for a rule that looks below, −1 for one that looks above


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


def reason_text(measure: str, driver: Driver | None, facts: Facts, part: float) -> str:
    """Why the score moved, in a sentence; a scorecard's rule and an override say why themselves."""
    label = _measure(measure)
    if driver is None:
        return f"{label} is no longer measured."
    verb = "which costs" if part * facts.sign < 0 else "which adds"
    effect = f"{verb} {abs(part):.1f} points."
    if driver.reason:
        return f"{driver.reason.rstrip('.')}, {effect}"
    then = facts.reference.measures.get(measure) if facts.reference else None
    known = "is not known" if driver.value is None else f"is {_number(driver.value)}"
    was = _was(then, driver.value)
    return f"{label} {known}{was}, {effect}"


def _was(then: Was | None, value: float | None) -> str:
    if then is None or then.value is None or then.value == value:
        return ""
    return f" (was {_number(then.value)})"


def _measure(measure: str) -> str:
    label = re.sub(r"_(\d+)d$", r" in \1 days", measure).replace("_", " ")
    return label[:1].upper() + label[1:]


def message(alert: Alert, event: Transition, facts: Facts) -> str:
    """The message in words: what happened, why, and what is at stake."""
    lines = [_headline(alert, event, facts)]
    is_news = event.note is not None and event.note.kind in ("opened", "reopened", "raised")
    if is_news:
        lines += [f"- {reason.text}" for reason in alert.reasons]
    owner = alert.owner if alert.owner_known else f"{alert.owner} (owner unknown)"
    lines.append(_stake(facts.health.profile, owner))
    if is_news and alert.play:
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
    return f"{name} is at {_score(facts.health)}{_fall(facts, event.at_ms)}."


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


def trends(health: Health, at_ms: int) -> tuple[float | None, float | None]:
    """The changes in 7 and in 28 days; those of a record that is old say nothing of now."""
    if at_ms - time_ms(health.as_of) > CURRENT_MS_MAX:
        return None, None
    return health.change_7d, health.change_28d


def _fall(facts: Facts, at_ms: int) -> str:
    """`, 24.3 points below the 72.3 of 2026-11-02; −8.6 in 7 days`: what is known of it."""
    health, reference = facts.health, facts.reference
    said = ""
    if reference and health.score is not None:
        points = health.score - reference.score
        side = "below" if points <= 0 else "above"
        day = reference.as_of[:10]
        said = f", {abs(points):.1f} points {side} the {_number(reference.score)} of {day}"
    if at_ms - time_ms(health.as_of) > CURRENT_MS_MAX:
        return f"{said}; unchanged since {health.as_of[:10]}"
    changes = zip(trends(health, at_ms), (7, 28), strict=True)
    moves = [f"{change:+.1f} in {days} days" for change, days in changes if change is not None]
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
    return (" ".join(name.split()) if isinstance(name, str) else "") or health.account_id


def _number(value: float | None) -> str:
    if value is None:
        return "unknown"
    if 0 < abs(value) < 1:
        return f"{value:.2g}"
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _words(name: str) -> str:
    return name.replace("_", " ")
