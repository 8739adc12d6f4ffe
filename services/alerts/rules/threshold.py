"""A threshold rule made ready: what a score means to it."""

from dataclasses import dataclass
from enum import Enum

from shared.configuration import Rule, duration_ms

SEVERITIES = ("info", "warning", "critical")


def rank(severity: str | None) -> int:
    """How bad a severity is, from 0; −1 for none."""
    return -1 if severity is None else SEVERITIES.index(severity)


class Verdict(Enum):
    """What a score says: beyond a trigger, between trigger and clear, well, or nothing."""

    BREACH = "breach"
    HOLD = "hold"
    CLEAR = "clear"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Bound:
    """A level. Trigger and clear are negated for a rule that looks above, so less is worse."""

    severity: str
    trigger: float
    clear: float


@dataclass(frozen=True)
class Threshold:
    """A rule with its durations in milliseconds and its levels from mild to severe."""

    id: str
    title: str
    play: str
    sign: int  # 1 looks below, −1 above
    bounds: tuple[Bound, ...]
    for_ms: int
    clear_for_ms: int
    cooldown_ms: int
    reopen_within_ms: int
    armed_after_ms: int

    @classmethod
    def of(cls, rule: Rule) -> "Threshold":
        """The rule of a checked configuration, made ready."""
        sign = 1 if rule.direction == "below" else -1
        return cls(
            id=rule.id,
            title=rule.title,
            play=rule.play,
            sign=sign,
            bounds=tuple(
                Bound(level.severity, sign * level.trigger, sign * level.clear)
                for level in rule.levels
            ),
            for_ms=duration_ms(rule.hold),
            clear_for_ms=duration_ms(rule.clear_for),
            cooldown_ms=duration_ms(rule.cooldown),
            reopen_within_ms=duration_ms(rule.reopen_within),
            armed_after_ms=duration_ms(rule.armed_after),
        )

    def judge(self, score: float | None) -> tuple[Verdict, str | None]:
        """What a score means, and for a breach the worst severity whose trigger it is beyond."""
        if score is None:
            return Verdict.UNKNOWN, None
        value = self.sign * score
        for bound in reversed(self.bounds):
            if value < bound.trigger:
                return Verdict.BREACH, bound.severity
        return (Verdict.CLEAR if value >= self.bounds[0].clear else Verdict.HOLD), None

    def severity(self, score: float, current: str | None) -> str:
        """The severity of an alert that is at `current`, for a score that is not clear.

        The worst level that is triggered, or that is no worse than the current one and has not
        cleared: each level ends at its own clear line. A changed rule may have none such: then it
        stays as it is.
        """
        value = self.sign * score
        for bound in reversed(self.bounds):
            lasting = rank(bound.severity) <= rank(current) and value < bound.clear
            if value < bound.trigger or lasting:
                return bound.severity
        return current or self.bounds[0].severity
