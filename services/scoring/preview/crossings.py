"""What a score means to the rules of alerts, as far as the score alone tells. Pure."""

from collections.abc import Mapping

from shared.configuration import Rule

Rules = Mapping[str, Rule]


def severity_of(rule: Rule, score: float) -> str | None:
    """The worst severity whose trigger a score is beyond; None where it is beyond none."""
    sign = 1 if rule.direction == "below" else -1
    return next(
        (level.severity for level in reversed(rule.levels) if sign * score < sign * level.trigger),
        None,
    )


def is_clear(rule: Rule, score: float) -> bool:
    """Whether an alert of the rule would end at a score, once `clear_for` has passed."""
    sign = 1 if rule.direction == "below" else -1
    return sign * score >= sign * rule.levels[0].clear


def crossings(
    old: Rules, new: Rules, old_score: float | None, new_score: float | None
) -> tuple[list[tuple[str, str]], list[str]]:
    """What begins by the new rules and the new score, and what ends.

    Begins: (rule, severity) of breaches where the old rule of that name had none. Ends: rules
    whose old breach the new one calls clear, or that are gone. Where a score is not known, alerts
    stay as they are.
    """
    begins, ends = [], []
    before = {
        name for name, rule in old.items() if old_score is not None and severity_of(rule, old_score)
    }
    if new_score is None:
        return [], sorted(before - new.keys())
    for name, rule in new.items():
        severity = severity_of(rule, new_score)
        if severity is not None and name not in before:
            begins.append((name, severity))
    for name in sorted(before):
        if name not in new or is_clear(new[name], new_score):
            ends.append(name)
    return begins, ends
