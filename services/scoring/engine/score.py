"""Values into scores: curves, weights, coverage, and contributions that add up.

Every sum goes through the measures in the order of the scorecard, so that another implementation
in double precision gets the same digits.
"""

from dataclasses import dataclass

import numpy as np

from services.scoring.engine.plan import DimensionPlan, MeasurePlan, ScorecardPlan
from services.scoring.engine.state import NO_SCORE, FloatArray
from services.scoring.engine.table import IntArray


@dataclass
class Scores:
    """The scores of some accounts by one scorecard."""

    card: ScorecardPlan
    tenths: IntArray  # [account], NO_SCORE where nothing is known
    coverage: IntArray  # [account], hundredths
    values: FloatArray  # [measure, account], NaN is unknown
    scores: FloatArray  # [measure, account] 0–100, NaN is unknown
    contributions: IntArray  # [measure, account], hundredths; they add up to 10 × tenths
    dimension_scores: FloatArray  # [dimension, account] 0–100, NaN is unknown
    dimension_weights: FloatArray  # [dimension, account] 0–1, after re-sharing


def score(card: ScorecardPlan, values: FloatArray) -> Scores:
    """Score accounts by their measures' values, [column, account]."""
    values = values[card.columns]
    count = values.shape[1]
    scores = np.full(values.shape, np.nan)
    parts = np.zeros(values.shape)
    dimension_scores = np.full((len(card.dimensions), count), np.nan)
    dimension_weights = np.zeros((len(card.dimensions), count))
    known_shares = np.zeros((len(card.dimensions), count))
    first = 0
    for row, dimension in enumerate(card.dimensions):
        rows = slice(first, first + len(dimension.measures))
        for at, measure in enumerate(dimension.measures, start=first):
            scores[at] = interpolate(measure, values[at])
        parts[rows], dimension_scores[row], known_shares[row] = _dimension(dimension, scores[rows])
        first = rows.stop
    known_total = np.zeros(count)
    for row, dimension in enumerate(card.dimensions):
        known_total += np.where(known_shares[row] > 0, dimension.weight, 0.0)
    first = 0
    for row, dimension in enumerate(card.dimensions):
        rows = slice(first, first + len(dimension.measures))
        known = known_shares[row] > 0
        np.divide(dimension.weight, known_total, out=dimension_weights[row], where=known)
        parts[rows] = dimension_weights[row] * parts[rows] * np.nan_to_num(scores[rows])
        first = rows.stop
    raw = np.zeros(count)
    for part in parts:
        raw += part
    tenths = np.floor(raw * 10 + 0.5).astype(np.int64)
    return Scores(
        card=card,
        tenths=np.where(known_total > 0, tenths, NO_SCORE),
        coverage=_coverage(card, known_shares),
        values=values,
        scores=scores,
        contributions=contributions(parts, raw, tenths, ~np.isnan(scores)),
        dimension_scores=dimension_scores,
        dimension_weights=dimension_weights,
    )


def interpolate(measure: MeasurePlan, values: FloatArray) -> FloatArray:
    """The curve's y at each value: linear between its points, level outside them."""
    xs, ys = measure.xs, measure.ys
    if len(xs) == 1:
        return np.where(np.isnan(values), np.nan, ys[0])
    left = np.clip(np.searchsorted(xs, values, side="right") - 1, 0, len(xs) - 2)
    x0, y0, x1, y1 = xs[left], ys[left], xs[left + 1], ys[left + 1]
    inside = y0 + (values - x0) * (y1 - y0) / (x1 - x0)
    return np.where(values < xs[0], ys[0], np.where(values >= xs[-1], ys[-1], inside))


def _dimension(
    dimension: DimensionPlan, scores: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Shares [measure, account] of the known measures; score and known share [account]."""
    count = scores.shape[1]
    known = ~np.isnan(scores)
    known_weight, weight = np.zeros(count), 0.0
    for row, measure in enumerate(dimension.measures):
        known_weight += np.where(known[row], measure.weight, 0.0)
        weight += measure.weight
    shares = np.zeros(scores.shape)
    total = np.zeros(count)
    for row, measure in enumerate(dimension.measures):
        np.divide(measure.weight, known_weight, out=shares[row], where=known[row])
        total += shares[row] * np.nan_to_num(scores[row])
    return shares, np.where(known_weight > 0, total, np.nan), known_weight / weight


def _coverage(card: ScorecardPlan, known_shares: FloatArray) -> IntArray:
    weight = 0.0
    for dimension in card.dimensions:
        weight += dimension.weight
    covered = np.zeros(known_shares.shape[1])
    for row, dimension in enumerate(card.dimensions):
        covered += dimension.weight / weight * known_shares[row]
    coverage: IntArray = np.floor(100 * covered + 0.5).astype(np.int64)
    return coverage


def contributions(
    parts: FloatArray, raw: FloatArray, tenths: IntArray, known: np.ndarray
) -> IntArray:
    """[measure, account] in hundredths, by largest remainder: the sum is 10 × tenths exactly."""
    target = 10 * tenths
    quotas = np.zeros(parts.shape)
    np.divide(parts * target, raw, out=quotas, where=(raw > 0) & known)
    floors = np.maximum(0, np.floor(quotas - 1e-9))
    missing = np.where(raw > 0, target - floors.sum(axis=0).astype(np.int64), 0)
    remainders = np.where(known, quotas - floors, -1.0)
    order = np.argsort(-remainders, axis=0, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(parts))[:, None], axis=0)
    return floors.astype(np.int64) + (ranks < missing)
