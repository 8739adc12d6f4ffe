"""The oracle's way from values to a score, contributions that add up included."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


def json_value(value: Any) -> Any:
    """Something that is equal where two JSON values are: 1 and 1.0 are, true and 1 are not."""
    if isinstance(value, dict):
        return ("object", frozenset((name, json_value(each)) for name, each in value.items()))
    if isinstance(value, list):
        return ("array", tuple(json_value(each) for each in value))
    if isinstance(value, bool) or value is None:
        return ("literal", str(value))
    return value


class Override(NamedTuple):
    """A score that a person set, in tenths, until an instant."""

    tenths: int
    author: str
    reason: str
    expires: int


@dataclass
class Part:
    """A part of the score, as its driver shows it; `c` is what it gives, in points."""

    dimension: str
    value: float | None = None
    score: float | None = None
    weight: float = 0.0
    c: float = 0.0
    reason: str | None = None


@dataclass
class Evaluation:
    """An account's health on a running day; tenths and hundredths are integers."""

    tenths: int | None
    computed: int | None
    building: bool
    band: str | None
    coverage: int
    scorecard: str
    revision: str
    profile: dict[str, Any]
    override: Override | None
    silence_risk: float | None
    dimensions: list[dict[str, Any]]
    parts: dict[str, Part]
    contributions: dict[str, int]
    matrix: dict[str, Any] | None = None
    onboarding: Any = None
    units: dict[str, int] = field(default_factory=dict)  # of each part, ten-thousandths of a point

    def said(self) -> Any:
        """What has to differ for the account to be published again."""
        return (
            self.tenths,
            self.computed,
            self.building,
            self.band,
            self.coverage,
            self.override,
            json_value(self.profile),
            self.scorecard,
            self.revision,
            json_value(self.matrix),
            self.onboarding
            and (self.onboarding.status, [each.key for each in self.onboarding.milestones]),
        )


def height(measure: dict[str, Any], v: float) -> float:
    """A curve's y at v, or a step's."""
    points = measure.get("curve") or measure["steps"]
    if v < points[0][0]:
        return float(points[0][1])
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 <= v < x1:
            return float(y0 if "steps" in measure else y0 + (y1 - y0) / (x1 - x0) * (v - x0))
    return float(points[-1][1])


def score(
    card: dict[str, Any],
    document: dict[str, Any],
    values: dict[str, float | None],
    profile: dict[str, Any],
    override: Override | None,
) -> Evaluation:
    """From the metrics' values to the score and all that explains it; no revision, no risk yet."""
    parts, dimensions = measured(card, values)
    is_known = any(part.score is not None for part in parts.values())
    raw = through_the_gate(card, values, parts)
    building = "gate" in card and values[card["gate"]["measure"]] is None
    if is_known and not building:
        raw = by_the_rules(card, values, profile, parts, raw)
    computed = math.floor(raw * 10 + 0.5) if is_known and not building else None
    if computed is None:
        raw = 0.0
        for part in parts.values():
            part.c = 0.0
    units = {name: math.floor(part.c * 10_000 + 0.5) for name, part in parts.items()}
    contributions = share_out({n: p.c for n, p in parts.items()}, raw, 10 * (computed or 0))
    tenths = computed
    if override is not None:
        parts["override"] = Part("override", reason=override.reason)
        contributions["override"] = 10 * (override.tenths - (computed or 0))
        tenths = override.tenths
    return Evaluation(
        tenths=tenths,
        computed=computed,
        building=building,
        band=band_of(document["scorecards"]["bands"], tenths),
        coverage=coverage(card, {n for n, p in parts.items() if p.score is not None}),
        scorecard=card["id"],
        revision="",
        profile=profile,
        override=override,
        silence_risk=None,
        dimensions=with_contributions(dimensions, parts, contributions),
        parts=parts,
        contributions=contributions,
        units=units,
    )


def through_the_gate(
    card: dict[str, Any], values: dict[str, float | None], parts: dict[str, Part]
) -> float:
    """What the measures give, less what the gate takes away; the gate is a part from now on."""
    f = card.get("floor_share", 0.0)
    for part in parts.values():
        if part.score is not None:
            part.c = part.weight * (100 * f + (1 - f) * part.score)
    raw = added(part.c for part in parts.values())
    if "gate" in card:
        gate, takes = values[card["gate"]["measure"]], card["gate"].get("takes", 1.0)
        part = parts[card["gate"]["measure"]] = Part("gate", gate)
        if gate is not None:
            taken = takes * min(max(gate, 0.0), 1.0)
            part.score, part.c = 100 * (1 - taken), -(raw * taken)
            raw += part.c
    return raw


def by_the_rules(
    card: dict[str, Any],
    values: dict[str, float | None],
    profile: dict[str, Any],
    parts: dict[str, Part],
    raw: float,
) -> float:
    """The score after the first rule that matches, which is a part from now on."""
    rule = next((each for each in card.get("rules", []) if applies(each, values, profile)), None)
    if rule is None:
        return raw
    limited: float = min(raw, rule["cap"]) if "cap" in rule else max(0.0, raw - rule["penalty"])
    parts[rule["id"]] = Part("rule", c=limited - raw, reason=rule["reason"])
    return raw + (limited - raw)


def measured(
    card: dict[str, Any], values: dict[str, float | None]
) -> tuple[dict[str, Part], list[dict[str, Any]]]:
    """Each measure's score and effective weight, and what each dimension shows."""
    parts: dict[str, Part] = {}
    for name, dimension in card["dimensions"].items():
        for metric, measure in dimension["measures"].items():
            value = values[metric]
            points = None if value is None else height(measure, value)
            parts[metric] = Part(name, value, points)
    known = {name for name, part in parts.items() if part.score is not None}
    of_card = [d["weight"] for d in card["dimensions"].values() if set(d["measures"]) & known]
    dimensions = []
    for name, dimension in card["dimensions"].items():
        measures = [metric for metric in dimension["measures"] if metric in known]
        share = dimension["weight"] / added(of_card) if measures else 0.0
        known_w = added(dimension["measures"][metric]["weight"] for metric in measures)
        of_dimension = 0.0
        for metric in measures:
            p = dimension["measures"][metric]["weight"] / known_w
            parts[metric].weight = share * p
            of_dimension += p * (parts[metric].score or 0.0)
        shown = math.floor(10 * of_dimension + 0.5) / 10 if measures else None
        weight = math.floor(10**4 * share + 0.5) / 10**4
        dimensions.append({"id": name, "score": shown, "weight": weight})
    return parts, dimensions


def with_contributions(
    dimensions: list[dict[str, Any]], parts: dict[str, Part], contributions: dict[str, int]
) -> list[dict[str, Any]]:
    """The dimensions, and those of gate, rule and override, with what their parts contribute."""
    for name in ("gate", "rule", "override"):
        for part in parts.values():
            if part.dimension == name:
                points = None if part.score is None else math.floor(10 * part.score + 0.5) / 10
                dimensions.append({"id": name, "score": points, "weight": 0.0})
    for each in dimensions:
        own = [name for name, part in parts.items() if part.dimension == each["id"]]
        each["contribution"] = sum(contributions[name] for name in own) / 100
    return dimensions


def applies(rule: dict[str, Any], values: dict[str, float | None], profile: dict[str, Any]) -> bool:
    """Whether all that the rule asks for is so."""
    for name, wanted in rule["when"].items():
        if name.startswith("profile."):
            if not has(profile, name, wanted):
                return False
            continue
        value = values[name]
        if value is None:
            return False
        within = {
            "above": lambda limit, v=value: v > limit,
            "below": lambda limit, v=value: v < limit,
            "at_least": lambda limit, v=value: v >= limit,
            "at_most": lambda limit, v=value: v <= limit,
        }
        if not all(within[how](limit) for how, limit in wanted.items()):
            return False
    return True


def has(profile: dict[str, Any], name: str, wanted: Any) -> bool:
    """Whether the profile field is the value, or one of the list."""
    field_name = name.removeprefix("profile.")
    wanted = wanted if isinstance(wanted, list) else [wanted]
    if field_name not in profile:
        return False
    return json_value(profile[field_name]) in [json_value(each) for each in wanted]


def added(numbers: Iterable[float]) -> float:
    """The sum in the order given; `sum` itself may compensate."""
    total = 0.0
    for number in numbers:
        total += number
    return total


def coverage(card: dict[str, Any], known: set[str]) -> int:
    """How much of the scorecard's weight is known, in hundredths."""
    all_weight = added(dimension["weight"] for dimension in card["dimensions"].values())
    covered = 0.0
    for dimension in card["dimensions"].values():
        weights = {name: measure["weight"] for name, measure in dimension["measures"].items()}
        known_w = added(weight for name, weight in weights.items() if name in known)
        covered += (dimension["weight"] / all_weight) * (known_w / added(weights.values()))
    return math.floor(100 * covered + 0.5)


def band_of(bands: dict[str, float], tenths: int | None) -> str | None:
    """The first band, from the highest limit down, whose limit the score reaches."""
    if tenths is None:
        return None
    highest_first = sorted(bands.items(), key=lambda item: -item[1])
    return next(name for name, limit in highest_first if limit <= tenths / 10)


def share_out(parts: dict[str, float], raw: float, total: int) -> dict[str, int]:
    """Contributions in hundredths that add up to `total`."""
    whole = added(abs(c) for c in parts.values())
    if whole == 0:
        return dict.fromkeys(parts, 0)
    quotas = {n: (total - 100 * raw) * abs(c) / whole + 100 * c for n, c in parts.items()}
    shares = {name: math.floor(quota) for name, quota in quotas.items()}
    by_rest = sorted(quotas, key=lambda name: -(quotas[name] - shares[name]))
    for name in by_rest[: total - sum(shares.values())]:
        shares[name] += 1
    return shares
