"""Where a rule and an account stand, as the alert oracle keeps it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SEVERITIES = ("info", "warning", "critical")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
AN_HOUR = 3_600_000
PUT_OFF = "the note waits for the end of the cooldown"


def milliseconds(text: str) -> int:
    """An RFC 3339 time as milliseconds since 1970."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)


def duration(rule: dict[str, Any], name: str, otherwise: str = "0s") -> int:
    """One of a rule's durations, in milliseconds."""
    text = rule.get(name, otherwise)
    return int(text[:-1]) * UNITS[text[-1]] * 1000


def worse(one: str, other: str | None) -> bool:
    """Whether a severity is worse than another, or than none."""
    return other is None or SEVERITIES.index(one) > SEVERITIES.index(other)


@dataclass
class Standing:
    """Where a rule and an account stand."""

    rule: str
    account: str
    state: str = "normal"
    episode: int = 0
    before_pending: int = 0
    events: int = 0
    severity: str | None = None
    handling: str = "new"
    armed: bool = False
    calm_since: int | None = None
    held: bool = False
    latch: str | None = None
    again: bool = False
    ends: int | None = None
    note_due: int | None = None
    opened_at: int | None = None
    resolved_at: int | None = None
    told: str | None = None
    newest_note: str | None = None
    was_recorded: bool = False
    adopted: bool = False
    cooldown_ends: int | None = None
    reference: dict[str, Any] | None = None

    @property
    def due(self) -> int | None:
        """When the next timer is due."""
        if self.held:
            return None
        return {"pending": self.ends, "recovering": self.ends, "firing": self.note_due}.get(
            self.state
        )

    @property
    def is_open(self) -> bool:
        """Whether its alert is."""
        return self.state in ("firing", "recovering")


@dataclass
class Cause:
    """What makes something happen: when, by whom, the score of the reading, the way of its notes.

    A way is `recorded`, `adopted` or `sent`.
    """

    at: int
    by: str
    score: float | None
    way: str
    reason: str = ""


def verdict_of(rule: dict[str, Any], score: float) -> tuple[str, str | None]:
    """BREACH with its severity, CLEAR or HOLD."""
    breached = [
        level["severity"] for level in rule["levels"] if beyond(rule, score, level["trigger"])
    ]
    if breached:
        return "BREACH", breached[-1]
    clear = not beyond(rule, score, rule["levels"][0]["clear"])
    return ("CLEAR" if clear else "HOLD"), None


def beyond(rule: dict[str, Any], score: float, limit: float) -> bool:
    """Whether a score is on the bad side of a limit."""
    return score < limit if rule.get("direction", "below") == "below" else score > limit


def arm(rule: dict[str, Any], standing: Standing, t: int, verdict: str) -> None:
    """An account that never was well is no news."""
    after = duration(rule, "armed_after")
    if verdict == "CLEAR" and standing.calm_since is None:
        standing.calm_since = t
    if after == 0 or (standing.calm_since is not None and t - standing.calm_since >= after):
        standing.armed = True
    elif verdict == "BREACH":
        standing.calm_since = None
