"""The state machine of one rule for one account; docs/alerts.md states it in words. Pure."""

from msgspec.structs import replace

from services.alerts.rules.standing import (
    OPEN,
    Acknowledged,
    Closed,
    Input,
    Note,
    NoteKind,
    Reading,
    Removed,
    Standing,
    Timers,
    Transition,
)
from services.alerts.rules.threshold import Threshold, Verdict, rank


def step(
    rule: Threshold | None, standing: Standing, given: Input
) -> tuple[Standing, list[Transition]]:
    """What one input makes of a standing, and what happened on the way, in order.

    `rule` may be None for what users do and where the rule was removed.
    """
    stepping = _Step(standing, given)
    match given:
        case Removed():
            stepping.end("rule")
        case Acknowledged(by=by):
            stepping.acknowledge(by)
        case Closed(by=by, reason=reason):
            stepping.close(by, reason)
        case Reading() if rule is not None:
            stepping.read(rule, given)
        case Timers() if rule is not None:
            stepping.run_timers(rule, given)
    return stepping.standing, stepping.transitions


class _Step:
    """One step on its way: the standing so far, and what has happened."""

    def __init__(self, standing: Standing, given: Input) -> None:
        self.standing = standing
        self.at_ms = given.at_ms
        self.deliver = given.deliver
        self.score = given.score if isinstance(given, (Reading, Timers)) else None
        self.transitions: list[Transition] = []

    def _happen(
        self,
        change: str,
        after: Standing,
        *,
        by: str = "condition",
        reason: str = "",
        note: NoteKind | None = None,
    ) -> None:
        """Move to `after`, which is an event. A note is told as `told_sent` says."""
        before = self.standing
        after = replace(after, events=before.events + 1)
        self.standing = after
        self.transitions.append(
            Transition(
                at_ms=self.at_ms,
                change=change,
                number=after.events,
                episode=max(before.episode, after.episode),
                from_state=before.state,
                standing=after,
                severity=after.severity or before.severity,
                score=self.score,
                by=by,
                reason=reason,
                note=Note(note, self.deliver and after.told_sent) if note else None,
            )
        )

    # What a health record means.

    def read(self, rule: Threshold, reading: Reading) -> None:
        if reading.excluded:
            self.end("account")
            return
        verdict, severity = rule.judge(reading.score)
        if verdict is Verdict.UNKNOWN or reading.score is None:
            if not self.standing.held:
                self.standing = replace(self.standing, held=True)
            return
        self._release()
        self._arm(rule, verdict)
        self._unlatch(verdict, severity)
        if self.standing.clear is not (verdict is Verdict.CLEAR):
            self.standing = replace(self.standing, clear=verdict is Verdict.CLEAR)
        match self.standing.state:
            case "normal" if severity:
                self._breach(rule, severity)
            case "pending":
                self._wait(severity)
            case "firing" | "recovering" if verdict is Verdict.CLEAR:
                self._recover(rule)
            case "firing" | "recovering":
                self._relapse()
                self._follow(rule, rule.severity(reading.score, self.standing.severity))

    def _release(self) -> None:
        """The score is known again: what came due meanwhile is due now."""
        if self.standing.held:
            self.standing = replace(
                self.standing,
                held=False,
                ends_ms=_not_before(self.standing.ends_ms, self.at_ms),
                note_due_ms=_not_before(self.standing.note_due_ms, self.at_ms),
            )

    def _arm(self, rule: Threshold, verdict: Verdict) -> None:
        standing = self.standing
        if standing.armed:
            return
        breach = verdict is Verdict.BREACH
        since_ms = standing.calm_since_ms
        if since_ms is None and not breach:
            since_ms = self.at_ms
        calm_ms = 0 if since_ms is None else self.at_ms - since_ms
        armed = calm_ms >= rule.armed_after_ms
        kept_ms = None if armed or breach else since_ms
        if armed or kept_ms != standing.calm_since_ms:
            self.standing = replace(standing, armed=armed, calm_since_ms=kept_ms)

    def _unlatch(self, verdict: Verdict, severity: str | None) -> None:
        latch = self.standing.latch
        if latch and (verdict is Verdict.CLEAR or rank(severity) > rank(latch)):
            self.standing = replace(self.standing, latch=None)

    def _breach(self, rule: Threshold, severity: str) -> None:
        standing = self.standing
        if not standing.armed or standing.latch:
            return
        resolved_ms = standing.resolved_ms
        reopened = resolved_ms is not None and self.at_ms - resolved_ms <= rule.reopen_within_ms
        after = replace(
            standing,
            severity=severity,
            reopened=reopened,
            episode=standing.episode if reopened else standing.episode + 1,
            opened_ms=standing.opened_ms if reopened else None,
        )
        if rule.for_ms:
            ends_ms = self.at_ms + rule.for_ms
            self._happen("pending", replace(after, state="pending", ends_ms=ends_ms))
        else:
            self._open(rule, after)

    def _wait(self, severity: str | None) -> None:
        if severity is None:
            self._discard("condition")
        elif severity != self.standing.severity:
            self.standing = replace(self.standing, severity=severity)

    def _discard(self, by: str) -> None:
        standing = self.standing
        after = replace(
            standing,
            state="normal",
            severity=None,
            ends_ms=None,
            reopened=False,
            episode=standing.episode if standing.reopened else standing.episode - 1,
        )
        self._happen("discarded", after, by=by)

    def _recover(self, rule: Threshold) -> None:
        if self.standing.state == "recovering":
            return
        if rule.clear_for_ms:
            ends_ms = self.at_ms + rule.clear_for_ms
            self._happen("recovering", replace(self.standing, state="recovering", ends_ms=ends_ms))
        else:
            self._resolve("resolved", "condition")

    def _relapse(self) -> None:
        standing = self.standing
        if standing.state == "recovering":
            after = replace(
                standing,
                state="firing",
                ends_ms=None,
                note_due_ms=_not_before(standing.note_due_ms, self.at_ms),
            )
            self._happen("relapsed", after)

    def _follow(self, rule: Threshold, severity: str) -> None:
        """The severity of an open alert follows its score; only what is worse is told."""
        standing = self.standing
        if rank(severity) < rank(standing.severity):
            self._happen("lowered", replace(standing, severity=severity))
        elif rank(severity) > rank(standing.severity):
            after = replace(standing, severity=severity, handling="new")
            if rank(severity) <= rank(standing.told):
                self._happen("raised", after)
            else:
                self._tell(rule, "raised", after)

    # Opening, telling, ending.

    def _open(self, rule: Threshold, after: Standing) -> None:
        after = replace(
            after,
            state="firing",
            handling="new",
            ends_ms=None,
            told=None,
            opened_ms=self.at_ms if after.opened_ms is None else after.opened_ms,
        )
        self._tell(rule, "reopened" if after.reopened else "opened", after)

    def _tell(self, rule: Threshold, change: str, after: Standing) -> None:
        """An event to be told at once, unless the cooldown of an earlier note puts it off."""
        until_ms = after.cooldown_until_ms
        cooling = until_ms is not None and self.at_ms < until_ms
        if cooling and rank(after.severity) <= rank(after.noted):
            reason = "the note waits for the end of the cooldown"
            self._happen(change, replace(after, note_due_ms=until_ms), reason=reason)
            return
        self._note(rule, change, after, "")

    def _note(self, rule: Threshold, change: str, after: Standing, reason: str) -> None:
        kind: NoteKind = "raised"
        if after.told is None:
            kind = "reopened" if after.reopened else "opened"
        after = replace(
            after,
            told=after.severity,
            told_sent=self.deliver,
            noted=after.severity,
            note_due_ms=None,
            cooldown_until_ms=self.at_ms + rule.cooldown_ms,
        )
        self._happen(change, after, reason=reason, note=kind)

    def _resolve(self, change: NoteKind, by: str, reason: str = "") -> None:
        standing = self.standing
        after = replace(
            standing,
            state="normal",
            severity=None,
            reopened=False,
            ends_ms=None,
            note_due_ms=None,
            told=None,
            handling="new",
            resolved_ms=self.at_ms if by == "condition" else None,
        )
        self._happen(change, after, by=by, reason=reason, note=change if standing.told else None)

    def end(self, by: str) -> None:
        """The account or the rule is gone: nothing stays open, and the standing starts anew."""
        if self.standing.state == "pending":
            self._discard(by)
        elif self.standing.state in OPEN:
            self._resolve("resolved", by)
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

    # What users do.

    def acknowledge(self, by: str) -> None:
        standing = self.standing
        if standing.state in OPEN and standing.handling == "new":
            after = replace(standing, handling="acked", note_due_ms=None)
            told: NoteKind | None = "acknowledged" if standing.told else None
            self._happen("acknowledged", after, by=by, note=told)

    def close(self, by: str, reason: str) -> None:
        """Resolved by a user; while it fires, the same or a milder breach is no news after it."""
        if self.standing.state in OPEN:
            latch = self.standing.severity if self.standing.state == "firing" else None
            self._resolve("closed", by, reason)
            self.standing = replace(self.standing, latch=latch)

    # Time.

    def run_timers(self, rule: Threshold, timers: Timers) -> None:
        while (due_ms := self.standing.due_ms) is not None and due_ms <= timers.at_ms:
            self.at_ms = due_ms
            match self.standing.state:
                case "pending":
                    self._open(rule, self.standing)
                case "recovering":
                    self._resolve("resolved", "condition")
                case _:
                    self._note(rule, "notified", self.standing, "the cooldown is over")


def _not_before(instant_ms: int | None, least_ms: int) -> int | None:
    return None if instant_ms is None else max(instant_ms, least_ms)
