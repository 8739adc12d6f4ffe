"""The state machine of one rule for one account; docs/alerts.md states it in words. Pure."""

from msgspec.structs import replace

from services.alerts.rules.standing import (
    OPEN,
    Acknowledged,
    Closed,
    Input,
    Reading,
    Removed,
    Standing,
    Timers,
    Transition,
    WentLive,
)
from services.alerts.rules.threshold import Threshold, Verdict, rank
from services.alerts.rules.turn import Turn


def step(
    rule: Threshold | None, standing: Standing, given: Input
) -> tuple[Standing, list[Transition]]:
    """What one input makes of a standing, and what happened on the way, in order.

    `rule` may be None for what users do and where the rule was removed.
    """
    turn = Turn(standing, given)
    match given:
        case Removed():
            turn.end("rule")
        case Acknowledged(by=by):
            _acknowledge(turn, by)
        case Closed(by=by, reason=reason):
            _close(turn, by, reason)
        case Reading() if rule is not None:
            _read(turn, rule, given)
        case Timers() if rule is not None:
            _run_timers(turn, rule, given)
        case WentLive() if rule is not None:
            _adopt(turn, rule)
    return turn.standing, turn.transitions


def _read(turn: Turn, rule: Threshold, reading: Reading) -> None:
    if reading.excluded:
        turn.end("account")
        return
    verdict, severity = rule.judge(reading.score)
    if reading.score is None:
        if not turn.standing.held:
            turn.standing = replace(turn.standing, held=True)
        return
    _release(turn)
    _arm(turn, rule, verdict)
    _unlatch(turn, verdict, severity)
    if turn.standing.clear is not (verdict is Verdict.CLEAR):
        turn.standing = replace(turn.standing, clear=verdict is Verdict.CLEAR)
    match turn.standing.state:
        case "normal":
            _breach(turn, rule, severity)
        case "pending":
            _wait(turn, severity)
        case _ if verdict is Verdict.CLEAR:
            _recover(turn, rule)
        case _:
            _relapse(turn)
            _follow(turn, rule, rule.severity(reading.score, turn.standing.severity))


def _release(turn: Turn) -> None:
    """The score is known again: what came due meanwhile is due now."""
    if turn.standing.held:
        turn.standing = replace(
            turn.standing,
            held=False,
            ends_ms=_not_before(turn.standing.ends_ms, turn.at_ms),
            note_due_ms=_not_before(turn.standing.note_due_ms, turn.at_ms),
        )


def _arm(turn: Turn, rule: Threshold, verdict: Verdict) -> None:
    standing = turn.standing
    if standing.armed:
        return
    since_ms = standing.calm_since_ms
    if since_ms is None and verdict is Verdict.CLEAR:
        since_ms = turn.at_ms
    calm_ms = 0 if since_ms is None else turn.at_ms - since_ms
    armed = calm_ms >= rule.armed_after_ms
    kept_ms = None if armed or verdict is Verdict.BREACH else since_ms
    if armed or kept_ms != standing.calm_since_ms:
        turn.standing = replace(standing, armed=armed, calm_since_ms=kept_ms)


def _unlatch(turn: Turn, verdict: Verdict, severity: str | None) -> None:
    latch = turn.standing.latch
    if latch and (verdict is Verdict.CLEAR or rank(severity) > rank(latch)):
        turn.standing = replace(turn.standing, latch=None)


def _breach(turn: Turn, rule: Threshold, severity: str | None) -> None:
    standing = turn.standing
    if severity is None or not standing.armed or standing.latch:
        return
    resolved_ms = standing.resolved_ms
    reopened = resolved_ms is not None and turn.at_ms - resolved_ms <= rule.reopen_within_ms
    after = replace(
        standing,
        severity=severity,
        reopened=reopened,
        adopted=turn.way == "adopt",
        episode=standing.episode if reopened else standing.episode + 1,
        opened_ms=standing.opened_ms if reopened else None,
    )
    if rule.for_ms:
        ends_ms = turn.at_ms + rule.for_ms
        turn.happen("pending", replace(after, state="pending", ends_ms=ends_ms))
    else:
        turn.open(rule, after)


def _wait(turn: Turn, severity: str | None) -> None:
    if severity is None:
        turn.discard("condition")
    elif severity != turn.standing.severity:
        turn.standing = replace(turn.standing, severity=severity)


def _recover(turn: Turn, rule: Threshold) -> None:
    if turn.standing.state == "recovering":
        return
    if rule.clear_for_ms:
        ends_ms = turn.at_ms + rule.clear_for_ms
        turn.happen("recovering", replace(turn.standing, state="recovering", ends_ms=ends_ms))
    else:
        turn.resolve("resolved", "condition")


def _relapse(turn: Turn) -> None:
    standing = turn.standing
    if standing.state == "recovering":
        due_ms = _not_before(standing.note_due_ms, turn.at_ms)
        after = replace(standing, state="firing", ends_ms=None, note_due_ms=due_ms)
        turn.happen("relapsed", after)


def _follow(turn: Turn, rule: Threshold, severity: str) -> None:
    """The severity of an open alert follows its score; only what is worse is told."""
    standing = turn.standing
    if rank(severity) < rank(standing.severity):
        due_ms = standing.note_due_ms if rank(severity) > rank(standing.told) else None
        turn.happen("lowered", replace(standing, severity=severity, note_due_ms=due_ms))
    elif rank(severity) > rank(standing.severity):
        adopted = turn.way == "adopt"
        after = replace(standing, severity=severity, handling="new", adopted=adopted)
        if rank(severity) <= rank(standing.told):
            turn.happen("raised", after)
        else:
            turn.tell(rule, "raised", after)


def _acknowledge(turn: Turn, by: str) -> None:
    standing = turn.standing
    if standing.state in OPEN and standing.handling == "new":
        after = replace(standing, handling="acked", note_due_ms=None)
        turn.happen("acknowledged", after, by=by, note=turn.follow_up("acknowledged"))


def _close(turn: Turn, by: str, reason: str) -> None:
    """Resolved by a user; while it fires, the same or a milder breach is no news after it."""
    if turn.standing.state in OPEN:
        latch = turn.standing.severity if turn.standing.state == "firing" else None
        turn.resolve("closed", by, reason)
        turn.standing = replace(turn.standing, latch=latch)


def _run_timers(turn: Turn, rule: Threshold, timers: Timers) -> None:
    while (due_ms := turn.standing.due_ms) is not None and due_ms <= timers.at_ms:
        turn.at_ms = due_ms
        match turn.standing.state:
            case "pending":
                turn.open(rule, turn.standing)
            case "recovering":
                turn.resolve("resolved", "condition")
            case _:
                turn.note(rule, "notified", turn.standing, "the cooldown is over")


def _adopt(turn: Turn, rule: Threshold) -> None:
    """What is open and was only recorded is told as what it is by now."""
    standing = turn.standing
    if standing.state in OPEN and not (standing.told and standing.told_sent):
        turn.note(rule, "adopted", replace(standing, told=None), "the deployment went live")


def _not_before(instant_ms: int | None, least_ms: int) -> int | None:
    return None if instant_ms is None else max(instant_ms, least_ms)
