"""The alert oracle's reports: ids, owners, titles and reasons of docs/alerts.md."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.alerts.oracle_standing import Cause, Standing

NEWS = ("pending", "opened", "reopened", "raised", "lowered", "notified", "adopted")


def digest(*parts: str) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of a compact JSON list."""
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def alert_id(rule: str, account: str, episode: int) -> str:
    """The id of an episode's alert; the subject is empty."""
    return "al_" + digest(rule, account, "", str(episode))


def notification_id(alert: str, number: int, kind: str, lane: tuple[str, str]) -> str:
    """The id of a note to a destination, and an address if there is one."""
    destination, address = lane
    parts = [alert, str(number), kind, destination] + ([address] if address else [])
    return "msg_" + digest(*parts)


def bring_up_to_date(
    alert: dict[str, Any],
    rule: dict[str, Any],
    owner: str,
    health: dict[str, Any],
    reference: dict[str, Any] | None,
) -> None:
    """Owner, score, title and reasons as they are now."""
    alert["owner"] = owner
    alert["score"] = health["score"]
    alert["title"] = title(rule["title"], health, alert["severity"])
    alert["reasons"] = reasons(health, reference, rule.get("direction", "below"))
    alert["play"] = rule.get("play", "")


def owner(
    routing: dict[str, Any], people: list[dict[str, Any]], profile: dict[str, Any], day: str
) -> str:
    """The first named who is there, else the first manager who is, else the fallback."""
    chain = routing.get("owner_chain", ["profile.csm"])
    values = [profile.get(name.removeprefix("profile.")) for name in chain]
    named = [" ".join(value.split())[:200] for value in values if isinstance(value, str)]
    named = [name for name in named if name]
    for name in named:
        person = who(people, name)
        if person is None and ("@" in name or not people):
            return name
        if person is not None and is_there(person, day):
            return str(person["id"])
    above = [manager for name in named for manager in managers(people, name)]
    there = [manager for manager in above if is_there(manager, day)]
    return str(there[0]["id"] if there else routing["fallback"])


def managers(people: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The manager, the manager's manager and so on, as many as there are people."""
    above: list[dict[str, Any]] = []
    person = who(people, name)
    while person is not None and "manager" in person and len(above) < len(people):
        person = who(people, person["manager"])
        above += [person] if person is not None else []
    return above


def who(people: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """Whom a name means: an id first, an address otherwise."""
    for key in ("id", "email"):
        for person in people:
            if person.get(key, "").lower() == name.lower():
                return person
    return None


def is_there(person: dict[str, Any], day: str) -> bool:
    """Whether somebody can be told on a day."""
    return bool(person.get("active", True)) and day > person.get("out_of_office_until", "")


def lanes(
    routing: dict[str, Any],
    people: list[dict[str, Any]],
    alert: dict[str, Any],
    profile: dict[str, Any],
    severity: str | None,
) -> list[tuple[str, str]]:
    """Where a note goes."""
    to = routing["to"]
    owner_of = who(people, alert["owner"]) or {}
    for route in reversed(routing.get("routes", [])):
        met = True
        for name, wanted in route["match"].items():
            value = profile.get(name.removeprefix("profile."))
            value = severity if name == "severity" else value
            value = owner_of.get("title") if name == "owner.title" else value
            choices = wanted if isinstance(wanted, list) else [wanted]
            met = met and [type(value), value] in [[type(each), each] for each in choices]
        to = route["to"] if met else to
    addresses = {
        name: place.get("to") or address(people, alert["owner"], routing["fallback"])
        for name, place in routing["destinations"].items()
        if place["type"] == "email"
    }
    return [(name, addresses.get(name, "")) for name in dict.fromkeys(to)]


def address(people: list[dict[str, Any]], name: str, fallback: str) -> str:
    """Where e-mail reaches somebody, or the fallback."""
    person = who(people, name)
    if person is not None:
        return str(person.get("email", person["id"]))
    return name if "@" in name else address(people, fallback, fallback)


def title(text: str, health: dict[str, Any], severity: str) -> str:
    """The title with its names in braces replaced; other names stay."""
    name = health["profile"].get("name")
    names = {
        "account.name": (isinstance(name, str) and " ".join(name.split())) or health["account_id"],
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
        blamed = [each for each in moved if each[0] <= -0.05]
    else:
        level = reference["score"]
        then = {driver["measure"]: driver for driver in reference["drivers"]}
        moved = []
        for name in {*now, *then}:
            part = held(now.get(name), level) - held(then.get(name), level)
            moved.append((sign * round(part, 2), name))
        worse = [each for each in moved if each[0] <= -0.05]
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
    people: list[dict[str, Any]] = field(default_factory=list)
    heard: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """By alert: the lanes of the notes that it fires since it opened."""

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
            day = datetime.fromtimestamp(cause.at / 1000, UTC).date().isoformat()
            name_of_owner = owner(self.routing, self.people, health["profile"], day)
            bring_up_to_date(alert, rule, name_of_owner, health, standing.reference)

    def notify(self, standing: Standing, cause: Cause, kind: str, way: str) -> None:
        """One notification for each lane."""
        name = alert_id(standing.rule, standing.account, standing.episode)
        reference = standing.reference
        facts = self.health[standing.account]["profile"]
        here = lanes(self.routing, self.people, self.alerts[name], facts, standing.severity)
        if kind in ("opened", "reopened"):
            self.heard[name] = here
        elif kind == "raised":
            self.heard[name] += [lane for lane in here if lane not in self.heard[name]]
        else:
            here = self.heard[name]
        for destination, address in here:
            self.notifications.append({
                "id": notification_id(name, standing.events, kind, (destination, address)),
                "alert": dict(self.alerts[name]),
                "kind": kind,
                "at": cause.at,
                "by": cause.by,
                "reason": cause.reason,
                "destination": destination,
                "address": address,
                "way": way,
                "score": self.health[standing.account]["score"],
                "previous_score": reference["score"] if reference else None,
                "previous_at": reference["as_of"] if reference else None,
            })  # fmt: skip
