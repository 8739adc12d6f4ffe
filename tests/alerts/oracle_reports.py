"""The alert oracle's reports: ids, owners, titles and reasons of docs/alerts.md."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from tests.alerts.oracle_standing import Cause, Standing

NEWS = ("pending", "opened", "reopened", "raised", "lowered", "notified")


def digest(*parts: str) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of a compact JSON list."""
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def alert_id(rule: str, account: str, episode: int) -> str:
    """The id of an episode's alert; the subject is empty."""
    return "al_" + digest(rule, account, "", str(episode))


def notification_id(alert: str, number: int, kind: str, destination: str) -> str:
    """The id of a note to a destination."""
    return "msg_" + digest(alert, str(number), kind, destination)


def bring_up_to_date(
    alert: dict[str, Any],
    rule: dict[str, Any],
    routing: dict[str, Any],
    health: dict[str, Any],
    reference: dict[str, Any] | None,
) -> None:
    """Owner, score, title and reasons as they are now."""
    alert["owner"] = owner(routing, health["profile"])
    alert["score"] = health["score"]
    alert["title"] = title(rule["title"], health, alert["severity"])
    alert["reasons"] = reasons(health, reference, rule.get("direction", "below"))
    alert["play"] = rule.get("play", "")


def owner(routing: dict[str, Any], profile: dict[str, Any]) -> str:
    """The first field of the chain with something in it, else the fallback."""
    for name in routing.get("owner_chain", ["profile.csm"]):
        value = profile.get(name.removeprefix("profile."))
        if isinstance(value, str) and value.strip():
            return value.strip()
    fallback: str = routing["fallback"]
    return fallback


def title(text: str, health: dict[str, Any], severity: str) -> str:
    """The title with its names in braces replaced; other names stay."""
    name = health["profile"].get("name")
    names = {
        "account.name": name if isinstance(name, str) and name else health["account_id"],
        "account.id": health["account_id"],
        "severity": severity,
        "profile.csm": health["profile"].get("csm"),
    }
    for each, value in names.items():
        if value is not None:
            text = text.replace("{{" + each + "}}", value).replace("{{ " + each + " }}", value)
    return text


def reasons(
    health: dict[str, Any], reference: dict[str, Any] | None, direction: str
) -> list[tuple[str, float]]:
    """The three measures that moved the score most, the rule's way."""
    sign = 1 if direction == "below" else -1
    now = {driver["measure"]: driver for driver in health["drivers"]}
    if reference is None:
        moved = [(sign * round(now[name]["change"], 2), name) for name in now]
        blamed = [each for each in moved if each[0] < 0]
    else:
        level = reference["score"]
        then = {driver["measure"]: driver for driver in reference["drivers"]}
        moved = []
        for name in {*now, *then}:
            part = held(now.get(name), level) - held(then.get(name), level)
            moved.append((sign * round(part, 2), name))
        worse = [each for each in moved if each[0] < 0]
        bad = [each for each in worse if does_badly(now.get(each[1]), level, direction)]
        blamed = bad or worse
    return [(name, sign * change) for change, name in sorted(blamed)][:3]


def held(driver: dict[str, Any] | None, level: float) -> float:
    """How far a measure holds the score from a level."""
    if driver is None:
        return 0.0
    part: float = driver["contribution"] - driver["weight"] * level
    return part


def does_badly(driver: dict[str, Any] | None, level: float, direction: str) -> bool:
    """Whether a measure's own score is on the rule's side of a level, or not known."""
    if driver is None or driver["score"] is None:
        return True
    if direction == "below":
        return bool(driver["score"] < level)
    return bool(driver["score"] > level)


@dataclass
class Ledger:
    """What comes out: alerts by id, events, notifications."""

    routing: dict[str, Any] = field(default_factory=dict)
    health: dict[str, dict[str, Any]] = field(default_factory=dict)
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    notifications: list[dict[str, Any]] = field(default_factory=list)

    def happen(
        self, standing: Standing, cause: Cause, what: str, rule: dict[str, Any] | None = None
    ) -> None:
        """An event of the alert, and the alert after it."""
        standing.events += 1
        name = alert_id(standing.rule, standing.account, standing.episode)
        self.events.append({
            "alert_id": name, "number": standing.events, "at": cause.at, "what": what,
            "severity": standing.severity, "score": cause.score, "by": cause.by,
            "reason": cause.reason,
        })  # fmt: skip
        alert = self.alerts.setdefault(
            name, dict.fromkeys(("opened_at", "resolved_at", "resolved_by"))
        )
        if what == "discarded":
            if alert["opened_at"] is None:
                del self.alerts[name]
            else:
                alert["state"] = "resolved"
            return
        alert["state"] = "resolved" if standing.state == "normal" else standing.state
        alert["handling"], alert["severity"] = standing.handling, standing.severity
        if standing.is_open:
            alert |= {"opened_at": standing.opened_at, "resolved_at": None, "resolved_by": None}
        if what in ("resolved", "closed"):
            by = "user" if what == "closed" else cause.by
            alert |= {"resolved_at": cause.at, "resolved_by": by}
        if rule is not None and what in NEWS:
            health = self.health[standing.account]
            bring_up_to_date(alert, rule, self.routing, health, standing.reference)

    def notify(self, standing: Standing, cause: Cause, kind: str, *, deliver: bool) -> None:
        """One notification for each destination."""
        name = alert_id(standing.rule, standing.account, standing.episode)
        reference = standing.reference
        for destination in dict.fromkeys(self.routing["to"]):
            self.notifications.append({
                "id": notification_id(name, standing.events, kind, destination),
                "alert": dict(self.alerts[name]),
                "kind": kind,
                "at": cause.at,
                "by": cause.by,
                "reason": cause.reason,
                "destination": destination,
                "deliver": deliver,
                "score": self.health[standing.account]["score"],
                "previous_score": reference["score"] if reference else None,
                "previous_at": reference["as_of"] if reference else None,
            })  # fmt: skip
