"""The oracle's way from values to a score, contributions that add up included."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


def json_value(value: Any) -> Any:
    """Something that is equal where two JSON values are: 1 and 1.0 are, true and 1 are not."""
    if isinstance(value, dict):
        return ("object", frozenset((name, json_value(each)) for name, each in value.items()))
    if isinstance(value, list):
        return ("array", tuple(json_value(each) for each in value))
    if isinstance(value, bool) or value is None:
        return ("literal", str(value))
    return value


@dataclass
class Evaluation:
    """An account's health on a running day; tenths, hundredths and ten-thousandths are integers."""

    tenths: int | None
    band: str | None
    coverage: int
    scorecard: str
    revision: str
    profile: dict[str, Any]
    dimensions: list[dict[str, Any]]
    values: dict[str, float | None]
    scores: dict[str, float]
    weights: dict[str, float]
    contributions: dict[str, int]

    def said(self) -> Any:
        """What has to differ for the account to be published again."""
        return (
            self.tenths,
            self.band,
            self.coverage,
            json_value(self.profile),
            self.scorecard,
            self.revision,
        )


def curve(points: list[list[float]], v: float) -> float:
    """A curve's y at v."""
    if v < points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 <= v < x1:
            return y0 + (v - x0) * (y1 - y0) / (x1 - x0)
    return points[-1][1]


def score(
    card: dict[str, Any],
    bands: dict[str, float],
    values: dict[str, float | None],
    revision: str,
    profile: dict[str, Any],
) -> Evaluation:
    """From the measures' values to the score and all that explains it."""
    measures = {name: m for d in card["dimensions"].values() for name, m in d["measures"].items()}
    scores: dict[str, float] = {
        name: curve(measures[name]["curve"], value)
        for name, value in values.items()
        if value is not None
    }
    parts: dict[str, float] = {}
    weights: dict[str, float] = {}
    dimensions = []
    known_weight = added(
        d["weight"] for d in card["dimensions"].values() if set(d["measures"]) & set(scores)
    )
    for name, dimension in card["dimensions"].items():
        known = [measure for measure in dimension["measures"] if measure in scores]
        share = dimension["weight"] / known_weight if known else 0.0
        known_w = added(measures[measure]["weight"] for measure in known)
        of_dimension = 0.0
        for measure in known:
            p = measures[measure]["weight"] / known_w
            weights[measure] = share * p
            parts[measure] = (share * p) * scores[measure]
            of_dimension += p * scores[measure]
        shown = math.floor(10 * of_dimension + 0.5) / 10 if known else None
        weight = math.floor(10**4 * share + 0.5) / 10**4
        dimensions.append({"id": name, "score": shown, "weight": weight})
    raw = added(parts.values())
    tenths = math.floor(raw * 10 + 0.5) if parts else None
    contributions = dict.fromkeys(values, 0) | share_out(parts, raw, 10 * (tenths or 0))
    for entry, dimension in zip(dimensions, card["dimensions"].values(), strict=True):
        entry["contribution"] = sum(contributions[name] for name in dimension["measures"]) / 100
    return Evaluation(
        tenths=tenths,
        band=band_of(bands, tenths),
        coverage=coverage(card, set(scores)),
        scorecard=card["id"],
        revision=revision,
        profile=profile,
        dimensions=dimensions,
        values=values,
        scores=scores,
        weights=weights,
        contributions=contributions,
    )


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
    if raw == 0 or total == 0:
        return dict.fromkeys(parts, 0)
    quotas = {name: part * total / raw for name, part in parts.items()}
    shares = {name: max(0, math.floor(quota - 1e-9)) for name, quota in quotas.items()}
    by_rest = sorted(quotas, key=lambda name: -(quotas[name] - shares[name]))
    for name in by_rest[: total - sum(shares.values())]:
        shares[name] += 1
    return shares
