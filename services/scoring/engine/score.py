"""Values into scores: curves, weights, the gate, rules, and coverage.

Every sum goes through the measures in the order of the scorecard, so that another implementation
in double precision gets the same digits.
"""

from dataclasses import dataclass

import numpy as np

from services.scoring.engine.plan_scorecards import Curves, RulePlan, ScorecardPlan
from services.scoring.engine.table import BoolArray, FloatArray, IntArray
from shared.configuration import Bounds

NO_SCORE = -1
BUILDING = -2
"""No score yet: what the scorecard's gate reads is not known."""

NO_RULE = -1


@dataclass
class Scores:
    """The scores of some accounts by one scorecard, as they are without an override."""

    card: ScorecardPlan
    values: FloatArray  # [column, account], NaN is unknown
    points: FloatArray  # [measure, account] 0–100, NaN is unknown
    weights: FloatArray  # [measure, account] 0–1, after re-sharing; 0 where unknown
    dimension_points: FloatArray  # [dimension, account] 0–100, NaN is unknown
    dimension_weights: FloatArray  # [dimension, account] 0–1, after re-sharing
    parts: FloatArray  # [part, account], of measures, gate and rule, in points; 0 without a score
    raw: FloatArray  # [account], the sum of the parts
    rules: IntArray  # [account], the number of the rule that matches, or NO_RULE
    tenths: IntArray  # [account], NO_SCORE where nothing is known, BUILDING without a gate
    coverage: IntArray  # [account], hundredths


def score(card: ScorecardPlan, values: FloatArray, conditions: BoolArray) -> Scores:
    """Score accounts by their metrics, [column, account], and conditions, [condition, account]."""
    points = interpolate(card.curves, values[card.columns])
    known = ~np.isnan(points)
    points_known = np.where(known, points, 0.0)
    shares, known_shares, dimension_points = _dimensions(card, known, points_known)
    counts = known_shares > 0
    known_total = added(np.where(counts, card.dimension_weights, 0.0))
    dimension_weights = np.zeros(counts.shape)
    np.divide(card.dimension_weights, known_total, out=dimension_weights, where=counts)
    weights = dimension_weights[card.dimension_of] * shares
    floor = card.floor_share
    parts = weights * (100.0 * floor + (1.0 - floor) * points_known)
    raw = added(parts)
    scored = known_total > 0
    tenths = np.where(scored, 0, NO_SCORE)
    if card.gate is not None:
        gate = values[card.gate.column]
        parts, raw = _taken(parts, raw, -(raw * gate_takes(card, gate)))
        tenths = np.where(np.isnan(gate), BUILDING, tenths)
    rules = np.full(len(raw), NO_RULE)
    if card.rules:
        rules, taken = _rules(card.rules, values, conditions, raw)
        parts, raw = _taken(parts, raw, taken)
    without = tenths < 0
    parts[:, without] = raw[without] = 0.0
    rules[without] = NO_RULE
    return Scores(
        card=card,
        values=values,
        points=points,
        weights=weights,
        dimension_points=dimension_points,
        dimension_weights=dimension_weights,
        parts=parts,
        raw=raw,
        rules=rules,
        tenths=np.where(without, tenths, np.floor(raw * 10 + 0.5).astype(np.int64)),
        coverage=_coverage(card, known_shares),
    )


def added(rows: FloatArray) -> FloatArray:
    """The sum of the rows, one after the other: numpy's own sum may add in another order."""
    total: FloatArray = np.add.accumulate(rows, axis=0)[-1]
    return total


def interpolate(curves: Curves, values: FloatArray) -> FloatArray:
    """Each curve's y at its values, [measure, account]: NaN where a value is."""
    values = np.clip(values, curves.least, curves.most)
    count, segments = curves.starts.shape
    passed = np.zeros(values.shape, np.min_scalar_type(segments))
    for number in range(1, segments):
        passed += values >= curves.starts[:, number, None]
    segment = passed + (np.arange(count) * segments)[:, None]
    slopes, starts = curves.slopes.take(segment), curves.starts.take(segment)
    scores: FloatArray = curves.heights.take(segment) + slopes * (values - starts)
    return scores


def gate_takes(card: ScorecardPlan, gate: FloatArray) -> FloatArray:
    """Which part of the score, 0–1, the gate takes away at its metric's values."""
    assert card.gate is not None
    return card.gate.takes * np.clip(gate, 0.0, 1.0)


def _dimensions(
    card: ScorecardPlan, known: BoolArray, points: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Shares [measure, account] in the dimension; the known part, and points, of each dimension."""
    shares = np.zeros(points.shape)
    known_shares = np.empty((len(card.dimensions), points.shape[1]))
    dimension_points = np.full(known_shares.shape, np.nan)
    for row, rows in enumerate(card.rows):
        known_weight = added(np.where(known[rows], card.weights[rows], 0.0))
        np.divide(card.weights[rows], known_weight, out=shares[rows], where=known[rows])
        total = added(shares[rows] * points[rows])
        np.copyto(dimension_points[row], total, where=known_weight > 0)
        known_shares[row] = known_weight / added(card.weights[rows])
    return shares, known_shares, dimension_points


def _coverage(card: ScorecardPlan, known_shares: FloatArray) -> IntArray:
    covered = added(card.dimension_weights / added(card.dimension_weights) * known_shares)
    coverage: IntArray = np.floor(100 * covered + 0.5).astype(np.int64)
    return coverage


def _taken(parts: FloatArray, raw: FloatArray, taken: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The parts with one more, which is negative, and the sum with it."""
    return np.vstack([parts, taken]), raw + taken


def _rules(
    rules: tuple[RulePlan, ...], values: FloatArray, conditions: BoolArray, raw: FloatArray
) -> tuple[IntArray, FloatArray]:
    """The first rule that matches each account, and what it adds to the score: 0 or less."""
    matching = np.full(len(raw), NO_RULE)
    taken = np.zeros(len(raw))
    for number, rule in enumerate(rules):
        matches = matching == NO_RULE
        for column, bounds in rule.bounds:
            matches &= inside(bounds, values[column])
        for condition in rule.conditions:
            matches &= conditions[condition]
        matching[matches] = number
        before = raw[matches]
        if rule.cap is not None:
            taken[matches] = np.minimum(before, rule.cap) - before
        else:
            taken[matches] = np.maximum(0.0, before - (rule.penalty or 0.0)) - before
    return matching, taken


def inside(bounds: Bounds, values: FloatArray) -> BoolArray:
    """Which values lie where the bounds say; an unknown one lies nowhere."""
    matches: BoolArray = ~np.isnan(values)
    if bounds.above is not None:
        matches &= values > bounds.above
    if bounds.below is not None:
        matches &= values < bounds.below
    if bounds.at_least is not None:
        matches &= values >= bounds.at_least
    if bounds.at_most is not None:
        matches &= values <= bounds.at_most
    return matches


def contributions(scores: Scores) -> IntArray:
    """[part, account] in hundredths of a point, by largest remainder: they add up to the score."""
    parts, sizes = scores.parts, np.abs(scores.parts)
    whole = added(sizes)
    target = 10 * np.maximum(0, scores.tenths)
    quotas = np.zeros(parts.shape)
    np.divide((target - 100 * scores.raw) * sizes, whole, out=quotas, where=whole > 0)
    quotas += 100 * parts
    floors = np.floor(quotas)
    missing = target - floors.sum(axis=0).astype(np.int64)
    order = np.argsort(floors - quotas, axis=0, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(parts))[:, None], axis=0)
    shares: IntArray = floors.astype(np.int64) + (ranks < missing)
    return shares
