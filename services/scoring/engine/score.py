"""Values into scores: curves, weights, coverage, and contributions that add up.

Every sum goes through the measures in the order of the scorecard, so that another implementation
in double precision gets the same digits.
"""

from dataclasses import dataclass

import numpy as np

from services.scoring.engine.plan import ScorecardPlan
from services.scoring.engine.state import NO_SCORE
from services.scoring.engine.table import FloatArray, IntArray


@dataclass
class Scores:
    """The scores of some accounts by one scorecard."""

    card: ScorecardPlan
    tenths: IntArray  # [account], NO_SCORE where nothing is known
    coverage: IntArray  # [account], hundredths
    values: FloatArray  # [measure, account], NaN is unknown
    scores: FloatArray  # [measure, account] 0–100, NaN is unknown
    weights: FloatArray  # [measure, account] 0–1, after re-sharing; 0 where unknown
    contributions: IntArray  # [measure, account], hundredths; they add up to 10 × tenths
    dimension_scores: FloatArray  # [dimension, account] 0–100, NaN is unknown
    dimension_weights: FloatArray  # [dimension, account] 0–1, after re-sharing


def score(card: ScorecardPlan, values: FloatArray) -> Scores:
    """Score accounts by their measures' values, [column, account]."""
    values = values[card.columns]
    count = values.shape[1]
    scores = interpolate(card, values)
    known = ~np.isnan(scores)
    points = np.where(known, scores, 0.0)
    shares = np.zeros(values.shape)
    dimension_scores = np.full((len(card.dimensions), count), np.nan)
    known_shares = np.empty((len(card.dimensions), count))
    for row, rows in enumerate(card.rows):
        known_weights = np.where(known[rows], card.weights[rows], 0.0)
        known_weight = added(known_weights)
        np.divide(card.weights[rows], known_weight, out=shares[rows], where=known[rows])
        total = added(shares[rows] * points[rows])
        np.copyto(dimension_scores[row], total, where=known_weight > 0)
        known_shares[row] = known_weight / added(card.weights[rows])
    counts = known_shares > 0
    known_total = added(np.where(counts, card.dimension_weights, 0.0))
    weights = np.zeros(counts.shape)
    np.divide(card.dimension_weights, known_total, out=weights, where=counts)
    effective = weights[card.dimension_of] * shares
    parts = effective * points
    raw = added(parts)
    tenths = np.floor(raw * 10 + 0.5).astype(np.int64)
    return Scores(
        card=card,
        tenths=np.where(known_total > 0, tenths, NO_SCORE),
        coverage=_coverage(card, known_shares),
        values=values,
        scores=scores,
        weights=effective,
        contributions=contributions(parts, raw, tenths, known),
        dimension_scores=dimension_scores,
        dimension_weights=weights,
    )


def added(rows: FloatArray) -> FloatArray:
    """The sum of the rows, one after the other: numpy's own sum may add in another order."""
    total: FloatArray = np.add.accumulate(rows, axis=0)[-1]
    return total


def interpolate(card: ScorecardPlan, values: FloatArray) -> FloatArray:
    """Each curve's y at its values, [measure, account]: linear between points, level outside."""
    xs, ys = card.xs, card.ys
    measures = np.arange(len(xs))[:, None]
    left = np.maximum((values[:, :, None] >= xs[:, None, :]).sum(axis=2) - 1, 0)
    x0, y0 = xs[measures, left], ys[measures, left]
    x1, y1 = xs[measures, left + 1], ys[measures, left + 1]
    inside = y0 + (values - x0) * (y1 - y0) / (x1 - x0)
    scores: FloatArray = np.where(values < x0, y0, np.where(np.isinf(x1), y0, inside))
    return np.where(np.isnan(values), np.nan, scores)


def _coverage(card: ScorecardPlan, known_shares: FloatArray) -> IntArray:
    covered = added(card.dimension_weights / added(card.dimension_weights) * known_shares)
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
