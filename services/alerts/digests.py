"""Digests: what is adopted, told in one message for each owner and channel. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from services.alerts.alert import digest
from services.alerts.notifications import ENDS, FIRES
from services.alerts.rules import rank

ALERTS_MAX = 200
"""So many alerts a digest holds, the worst; of the others it says how many there are."""


@dataclass(frozen=True)
class Line:
    """A note that waits for its digest, and what is known of its alert when the digest is made."""

    partition: int
    id: str
    alert_id: str
    number: int
    destination: str
    recipient: str
    kind: str
    at_ms: int
    body: bytes
    is_open: bool
    heard: bool
    """What went this way before said that the alert is open."""


@dataclass(frozen=True)
class Digest:
    """One message; its id is the same whenever it is made of the same lines."""

    partition: int
    id: str
    destination: str
    recipient: str
    at_ms: int
    body: bytes
    lines: tuple[str, ...]


def settle(lines: Iterable[Line]) -> tuple[list[Line], list[Line]]:
    """(what is still true and not said, what is not): of an alert and a destination one line.

    Of an open alert the newest line that says so; of one that is over its end, to whom heard of it.
    """
    lanes: dict[tuple[str, str, str], list[Line]] = {}
    for line in sorted(lines, key=lambda line: line.number):
        lanes.setdefault((line.alert_id, line.destination, line.recipient), []).append(line)
    kept: list[Line] = []
    for lane in lanes.values():
        true = [line for line in lane if line.kind in FIRES and line.is_open]
        true = true or [line for line in lane if line.kind in ENDS and line.heard]
        kept += true[-1:]
    names = {line.id for line in kept}
    return kept, [line for lane in lanes.values() for line in lane if line.id not in names]


def compose(lines: Sequence[Line]) -> list[Digest]:
    """The digests of these lines: one for each owner and destination, the worst first in each."""
    groups: dict[tuple[str, str, str], list[tuple[Line, dict[str, Any]]]] = {}
    for line in lines:
        body = msgspec.json.decode(line.body)
        key = (line.destination, line.recipient, body["data"]["owner"])
        groups.setdefault(key, []).append((line, body))
    return [_digest(*key, sorted(group, key=_worst_first)) for key, group in sorted(groups.items())]


def _worst_first(each: tuple[Line, dict[str, Any]]) -> tuple[bool, int, float, str]:
    line, body = each
    score = body["data"]["change"]["score"]
    is_over = line.kind in ENDS
    return is_over, -rank(body["data"]["severity"]), 101 if score is None else score, line.id


def _digest(
    destination: str, recipient: str, owner: str, group: Sequence[tuple[Line, dict[str, Any]]]
) -> Digest:
    names = tuple(line.id for line, _ in group)
    name = "msg_" + digest("digest", *sorted(names))
    bodies = [body for _, body in group]
    newest = max(bodies, key=lambda body: str(body["timestamp"]))
    alerts = [body["data"] for body in bodies[:ALERTS_MAX]]
    more = len(bodies) - len(alerts)
    text = [headline(bodies, owner), *(f"- {said(alert)}" for alert in alerts)]
    body = {
        "type": "alert.digest",
        "timestamp": newest["timestamp"],
        "data": {
            "owner": owner,
            "alerts": alerts,
            "more": more,
            "text": "\n".join([*text, f"+{more} more"] if more else text),
            "notification_id": name,
        },
    }
    return Digest(
        partition=min(line.partition for line, _ in group),
        id=name,
        destination=destination,
        recipient=recipient,
        at_ms=max(line.at_ms for line, _ in group),
        body=msgspec.json.encode(body),
        lines=names,
    )


def headline(bodies: Sequence[dict[str, Any]], owner: str) -> str:
    """How many alerts are open, how bad, and how many have ended."""
    still = [body for body in bodies if body["data"]["change"]["what"] in FIRES]
    critical = sum(body["data"]["severity"] == "critical" for body in still)
    over = len(bodies) - len(still)
    parts = []
    if still:
        bad = f", {critical} of them critical" if critical else ""
        parts.append(f"{_alerts(len(still))} open{bad}")
    if over:
        parts.append(f"{_alerts(over)} over")
    return f"{' and '.join(parts)}; owner {owner}."


def _alerts(count: int) -> str:
    return "1 alert is" if count == 1 else f"{count} alerts are"


def said(alert: Mapping[str, Any]) -> str:
    """The alert in a line."""
    line = str(alert["change"]["text"]).partition("\n")[0]
    is_over = alert["change"]["what"] in ENDS
    return line if is_over else f"{alert['severity']}: {line}"
