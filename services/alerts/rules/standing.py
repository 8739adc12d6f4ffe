"""What is remembered of one rule for one account, and what can happen to it."""

from dataclasses import dataclass
from typing import Literal

import msgspec

State = Literal["normal", "pending", "firing", "recovering"]
Handling = Literal["new", "acked"]
NoteKind = Literal["opened", "reopened", "raised", "acknowledged", "resolved", "closed"]
Way = Literal["record", "adopt", "send"]
"""What becomes of a note: it is only kept, it is a line of a digest, or a message of its own."""

OPEN: frozenset[State] = frozenset({"firing", "recovering"})
"""States of an alert that people can handle; a pending one may still come to nothing."""


class Was(msgspec.Struct, frozen=True):
    """A measure as it was: its value, its effective weight 0–1 and its points of the score."""

    value: float | None
    weight: float
    contribution: float


class Reference(msgspec.Struct, frozen=True):
    """The health an alert is compared with: the last that was clear of the rule."""

    score: float
    as_of: str
    measures: dict[str, Was]


class Standing(msgspec.Struct, frozen=True):
    """How one account (and subject) stands with one rule. Times are the partition's clock."""

    rule: str
    account_id: str
    subject: str = ""
    state: State = "normal"
    severity: str | None = None
    episode: int = 0
    reopened: bool = False
    """The alert that is open or pending was resolved before, and is the same again."""
    events: int = 0
    """How many events this standing has had, in all episodes: the number of the newest."""
    held: bool = False
    """The newest score is unknown: no timer runs."""
    ends_ms: int | None = None
    """When `for` (pending) or `clear_for` (recovering) ends."""
    note_due_ms: int | None = None
    """When a note that the cooldown put off may go."""
    cooldown_until_ms: int | None = None
    noted: str | None = None
    """The severity of the newest note that something fired, in any episode."""
    told: str | None = None
    """The worst severity told since the alert opened."""
    told_sent: bool = False
    """That note was not only recorded."""
    adopted: bool = False
    """What is still to be said of this breach goes into a digest: how it came about was not ours
    to raise an alarm about."""
    handling: Handling = "new"
    latch: str | None = None
    """A user closed the alert at this severity: not again until it was clear or gets worse."""
    opened_ms: int | None = None
    resolved_ms: int | None = None
    """When the newest alert was resolved by its condition; it may be opened again from then."""
    armed: bool = False
    calm_since_ms: int | None = None
    """Since when the score was clear, and has not been in breach; kept until the rule is armed."""
    clear: bool = False
    """The newest known verdict is CLEAR."""
    reference: Reference | None = None

    @property
    def due_ms(self) -> int | None:
        """When the next timer is due; None if none runs."""
        if self.held:
            return None
        if self.state in ("pending", "recovering"):
            return self.ends_ms
        return self.note_due_ms if self.state == "firing" else None


@dataclass(frozen=True)
class Note:
    """Somebody is to be told."""

    kind: NoteKind
    way: Way


@dataclass(frozen=True)
class Transition:
    """One event in an alert's life."""

    at_ms: int
    what: str
    number: int
    episode: int
    standing: Standing  # after it
    severity: str | None
    score: float | None
    by: str = "condition"
    reason: str = ""
    note: Note | None = None


@dataclass(frozen=True)
class Reading:
    """An account's health at an instant. `way`: of the notes that it causes."""

    at_ms: int
    score: float | None
    excluded: bool
    way: Way


@dataclass(frozen=True)
class Timers:
    """The clock has come to `at_ms`: what is due by then comes about. `score` is the newest."""

    at_ms: int
    score: float | None
    way: Way


@dataclass(frozen=True)
class Removed:
    """The rule is no longer in the configuration."""

    at_ms: int
    way: Way


@dataclass(frozen=True)
class WentLive:
    """The partition goes live: who was told of nothing so far hears of what is open."""

    at_ms: int
    score: float | None
    way: Way


@dataclass(frozen=True)
class Acknowledged:
    """A user has taken the alert on."""

    at_ms: int
    by: str
    way: Way


@dataclass(frozen=True)
class Closed:
    """A user is done with the alert; `reason` is the verdict."""

    at_ms: int
    by: str
    reason: str
    way: Way


Input = Reading | Timers | Removed | WentLive | Acknowledged | Closed
