"""Evaluations of accounts: their metrics measured and scored."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from services.scoring.engine.measure import measure
from services.scoring.engine.published import PartArray
from services.scoring.engine.score import NO_RULE, NO_SCORE, Scores, score
from services.scoring.engine.state import State
from services.scoring.engine.success.matrix import codes
from services.scoring.engine.success.onboarding import standing
from services.scoring.engine.success.state import CodeArray, SmallArray
from services.scoring.engine.table import IntArray

CHUNK_ACCOUNTS = 8192
"""So many accounts are measured and scored at a time: what they need stays in the cache."""

PARTS_PER_POINT = 10_000


@dataclass
class Evaluation:
    """Some accounts evaluated on the running day."""

    accounts: IntArray  # [row], ascending
    cards: IntArray  # [row], numbers in Plan.scorecards
    tenths: IntArray  # [row], as shown: an override's where there is one
    computed: IntArray  # [row], without it
    coverage: IntArray  # [row], hundredths
    parts: PartArray  # [part, row], ten-thousandths of a point; 0 for an override
    matrix: SmallArray  # [row], codes
    onboarding: CodeArray  # [row], codes


def evaluate(state: State, accounts: IntArray) -> Evaluation:
    """Evaluate accounts, given in ascending order; changes nothing."""
    assert state.plan is not None
    count = len(accounts)
    computed, coverage = np.empty(count, np.int64), np.empty(count, np.int64)
    parts = np.zeros((len(state.plan.parts), count), np.int32)
    healthy, others = np.empty(count, np.int32), np.empty(count, np.int32)
    onboarding = standing(state, accounts)
    cards = state.accounts.cards[accounts, onboarding.whole].astype(np.int64)
    for rows, scores in score_all(state, accounts, cards):
        healthy[rows], others[rows] = codes(state.plan.success.matrix, scores.values)
        computed[rows], coverage[rows] = scores.tenths, scores.coverage
        rounded = np.floor(scores.parts * PARTS_PER_POINT + 0.5).astype(np.int32)
        for part, values in zip(scores.card.parts.tolist(), rounded, strict=False):
            parts[part, rows] = values
        if scores.card.rules:
            matched = np.flatnonzero(scores.rules != NO_RULE)
            places = np.array([rule.part for rule in scores.card.rules])[scores.rules[matched]]
            parts[places, rows[matched]] = rounded[-1, matched]
    tenths = np.maximum(computed, NO_SCORE)
    overridden, override_tenths = overrides(state, accounts)
    tenths[overridden] = override_tenths
    matrix = np.where(tenths / 10 >= state.plan.bands[0][1], healthy, others)
    return Evaluation(accounts, cards, tenths, computed, coverage, parts, matrix, onboarding.codes)


def score_all(
    state: State, accounts: IntArray, cards: IntArray
) -> Iterator[tuple[IntArray, Scores]]:
    """The accounts' scores, each scorecard's together: rows of `accounts`, and their scores."""
    assert state.plan is not None
    for start in range(0, len(accounts), CHUNK_ACCOUNTS):
        some = accounts[start : start + CHUNK_ACCOUNTS]
        values, own = measure(state, some), cards[start : start + CHUNK_ACCOUNTS]
        for number in np.flatnonzero(np.bincount(own)).tolist():
            rows = np.flatnonzero(own == number)
            conditions = state.profile_matches[:, some[rows]]
            yield start + rows, score(state.plan.scorecards[number], values[:, rows], conditions)


def overrides(state: State, accounts: IntArray) -> tuple[IntArray, IntArray]:
    """The rows of the accounts, which ascend, that have an override, and its tenths."""
    in_force = state.accounts.overrides
    if not in_force:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    overridden = np.array(sorted(in_force), np.int64)
    rows = np.searchsorted(accounts, overridden)
    rows[rows == len(accounts)] = 0
    found = accounts[rows] == overridden if len(accounts) else np.zeros(len(rows), bool)
    tenths = np.array([in_force[at].score_tenths for at in overridden[found].tolist()], np.int64)
    return rows[found], tenths
