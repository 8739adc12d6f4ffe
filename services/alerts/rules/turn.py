"""One step of a standing on its way: the standing so far, and what has happened. Pure."""

from msgspec.structs import replace

from services.alerts.rules.standing import (
    OPEN,
    Input,
    Note,
    NoteKind,
    Reading,
    Standing,
    Timers,
    Transition,
    WentLive,
)
from services.alerts.rules.threshold import Threshold, rank


class Turn:
    """The moves that a standing can make: each is an event, and may give a note."""

    def __init__(self, standing: Standing, given: Input) -> None:
        self.standing = standing
        self.at_ms = given.at_ms
        self.way = given.way
        self.score = given.score if isinstance(given, (Reading, Timers, WentLive)) else None
        self.transitions: list[Transition] = []

    def happen(
        self,
        what: str,
        after: Standing,
        *,
        by: str = "condition",
        reason: str = "",
        note: Note | None = None,
    ) -> None:
        """Move to `after`, which is an event."""
        before = self.standing
        after = replace(after, events=before.events + 1)
        self.standing = after
        self.transitions.append(
            Transition(
                at_ms=self.at_ms,
                what=what,
                number=after.events,
                episode=max(before.episode, after.episode),
                standing=after,
                severity=after.severity or before.severity,
                score=self.score,
                by=by,
                reason=reason,
                note=note,
            )
        )

    def follow_up(self, kind: NoteKind) -> Note | None:
        """The note that follows what was told; only kept, if that was."""
        if not self.standing.told:
            return None
        return Note(kind, self.way if self.standing.told_sent else "record")

    def open(self, rule: Threshold, after: Standing) -> None:
        """It fires; `after` says of which severity and episode."""
        after = replace(
            after,
            state="firing",
            handling="new",
            ends_ms=None,
            told=None,
            adopted=after.adopted or self.way == "adopt",
            opened_ms=self.at_ms if after.opened_ms is None else after.opened_ms,
        )
        self.tell(rule, "reopened" if after.reopened else "opened", after)

    def tell(self, rule: Threshold, what: str, after: Standing) -> None:
        """An event to be told at once, unless the cooldown of an earlier note puts it off."""
        until_ms = after.cooldown_until_ms
        cooling = until_ms is not None and self.at_ms < until_ms
        if cooling and rank(after.severity) <= rank(after.noted):
            reason = "the note waits for the end of the cooldown"
            self.happen(what, replace(after, note_due_ms=until_ms), reason=reason)
            return
        self.note(rule, what, after, "")

    def note(self, rule: Threshold, what: str, after: Standing, reason: str) -> None:
        """An event that is told now."""
        kind: NoteKind = "raised"
        if after.told is None:
            kind = "reopened" if after.reopened else "opened"
        way = "adopt" if self.way == "send" and after.adopted else self.way
        after = replace(
            after,
            told=after.severity,
            told_sent=way != "record",
            adopted=False,
            noted=after.severity,
            note_due_ms=None,
            cooldown_until_ms=self.at_ms + rule.cooldown_ms,
        )
        self.happen(what, after, reason=reason, note=Note(kind, way))

    def discard(self, by: str) -> None:
        """A pending alert comes to nothing."""
        standing = self.standing
        after = replace(
            standing,
            state="normal",
            severity=None,
            ends_ms=None,
            reopened=False,
            adopted=False,
            episode=standing.episode if standing.reopened else standing.episode - 1,
        )
        self.happen("discarded", after, by=by)

    def resolve(self, what: NoteKind, by: str, reason: str = "") -> None:
        """An open alert ends."""
        standing = self.standing
        after = replace(
            standing,
            state="normal",
            severity=None,
            reopened=False,
            ends_ms=None,
            note_due_ms=None,
            told=None,
            adopted=False,
            handling="new",
            resolved_ms=self.at_ms if by == "condition" else None,
        )
        self.happen(what, after, by=by, reason=reason, note=self.follow_up(what))

    def end(self, by: str) -> None:
        """The account or the rule is gone: nothing stays open, and the standing starts anew."""
        if self.standing.state == "pending":
            self.discard(by)
        elif self.standing.state in OPEN:
            self.resolve("resolved", by)
        self.standing = replace(
            self.standing,
            held=False,
            latch=None,
            resolved_ms=None,
            armed=False,
            calm_since_ms=None,
            clear=False,
            reference=None,
        )
