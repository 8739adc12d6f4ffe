"""The oracle's publications: what an account's health record says, and why it changed."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.scoring.oracle_crosses import crosses, has_passed
from tests.scoring.oracle_metrics import Fact, Rules
from tests.scoring.oracle_records import rfc3339
from tests.scoring.oracle_score import Evaluation, Part, json_value
from tests.scoring.oracle_success import (
    Successful,
    remember,
    shown,
    signals_of_numbers,
    take,
)
from tests.scoring.oracle_users import at_each_rank


@dataclass
class Scored(Successful):
    """An account with what was said of it."""

    touched: bool = False
    news: bool = False
    late: bool = False
    newest: Evaluation | None = None
    published: Evaluation | None = None
    published_as_of: str = ""
    sequence: int = 0
    time_parts: Counter[str] = field(default_factory=Counter)
    history: dict[int, Evaluation] = field(default_factory=dict)
    override: Fact | None = None
    unheard: bool = False
    stale: bool = False
    published_stale: bool = False
    stale_days: set[int] = field(default_factory=set)
    health: dict[str, Any] = field(default_factory=dict)


def publish(rules: Rules, account: Scored, new: Evaluation, r: int, as_of: int, mode: str) -> bool:
    """Publish an evaluation if it differs from the last publication; whether it does."""
    old = account.published
    if account.stale and account.published_stale:
        return False
    engagement = at_each_rank(rules, account)
    standing = account.published_stale, account.health.get("engagement")
    signals_of_numbers(rules, account, new, r)
    is_new = old is None or old.said() != new.said() or standing != (account.stale, engagement)
    if not is_new and not account.waiting and not has_passed(account, r):
        return False
    previous = None
    if old is not None:
        previous = {"score": points(old.tenths, 10), "band": old.band}
        previous |= {"as_of": account.published_as_of}
    account.sequence += 1
    account.health = {
        "account_id": account.id,
        "as_of": rfc3339(as_of),
        "sequence": account.sequence,
        "score": points(new.tenths, 10),
        "band": new.band,
        "coverage": new.coverage / 100,
        "mode": mode,
        "previous": previous,
        "change_7d": since(account, new, r - 8),
        "change_28d": since(account, new, r - 29),
        "scorecard": {"id": new.scorecard, "revision": new.revision},
        "dimensions": new.dimensions,
        "drivers": list(drivers(rules, account, new, old)),
        "profile": new.profile,
        "silence_risk": new.silence_risk,
        "override": None,
        "computed_score": None,
        "crosses": crosses(rules, account, new, r),
        "building_history": new.building,
        "stale": account.stale,
        "engagement": engagement,
        "signals": take(account),
        "matrix": new.matrix,
        "onboarding": shown(rules, new.onboarding),
    }
    remember(account, new)
    if new.override is not None:
        override = {"score": points(new.override.tenths, 10), "author": new.override.author}
        override |= {"reason": new.override.reason, "expires_at": rfc3339(new.override.expires)}
        account.health |= {"override": override, "computed_score": points(new.computed, 10)}
    account.published_stale = account.stale
    account.published, account.published_as_of = new, rfc3339(as_of)
    account.late, account.news, account.time_parts = False, False, Counter()
    return True


def drivers(
    rules: Rules, account: Scored, new: Evaluation, old: Evaluation | None
) -> Iterator[dict[str, Any]]:
    """Each part with how its contribution changed and why; then those that are gone."""
    before = old.contributions if old else {}
    gone = [name for name in before if name not in new.contributions and before[name] != 0]
    for name in [*new.parts, *sorted(gone)]:
        part = new.parts.get(name, Part(""))
        now = new.contributions.get(name, 0)
        change = now - before.get(name, 0) if old else 0
        parts = causes(rules, account, name, change, new) if old else []
        largest = max(reversed(parts), key=lambda part: abs(part[1]), default=("events", 0))
        yield {
            "measure": name,
            "value": None if part.value is None else floor_half(part.value, 10**6),
            "score": None if part.score is None else floor_half(part.score, 10),
            "weight": floor_half(part.weight, 10**4),
            "contribution": now / 100,
            "change": change / 100,
            "cause": largest[0],
            "causes": [{"cause": cause, "change": part / 100} for cause, part in parts],
            "reason": part.reason,
        }


def causes(
    rules: Rules, account: Scored, name: str, change: int, new: Evaluation
) -> list[tuple[str, int]]:
    """The parts of a contribution's change: time, and the rest with its cause."""
    if name == "override":
        return [("override", change)] if change else []
    time = math.floor(account.time_parts[name] / 100 + 0.5) if account.news else change
    parts = [("time", time), (rest_cause(rules, account, name, new), change - time)]
    return [part for part in parts if part[1] != 0]


def rest_cause(rules: Rules, account: Scored, name: str, new: Evaluation) -> str:
    """Why a contribution changed, time apart."""
    old = account.published
    assert old is not None
    if (new.scorecard, new.revision) != (old.scorecard, old.revision):
        return "scorecard"
    if reads_profile(rules, name, new) and json_value(new.profile) != json_value(old.profile):
        return "profile"
    return "late" if account.late else "events"


def reads_profile(rules: Rules, name: str, new: Evaluation) -> bool:
    """Whether a metric, or a rule of the scorecard, depends on a profile field."""
    if name in rules.metrics:
        return any(part.startswith("profile.") for part in rules.metrics[name].get("ratio", []))
    cards = rules.document["scorecards"]["scorecards"]
    card = next(card for card in cards if card["id"] == new.scorecard)
    rule = next(rule for rule in card["rules"] if rule["id"] == name)
    return any(
        part.startswith("profile.") or reads_profile(rules, part, new) for part in rule["when"]
    )


def points(units: int | None, per_point: int) -> float | None:
    """Tenths or hundredths as points."""
    return None if units is None else units / per_point


def floor_half(value: float, per_unit: int) -> float:
    """A value rounded to tenths, millionths…; a half goes up."""
    return float((value * per_unit + 0.5) // 1) / per_unit


def since(account: Scored, new: Evaluation, day: int) -> float | None:
    """The score minus that of a history row."""
    row = account.history.get(day)
    if row is None or row.tenths is None or new.tenths is None:
        return None
    return (new.tenths - row.tenths) / 10
