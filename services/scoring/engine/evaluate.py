"""Evaluations of accounts: their metrics measured and scored."""

from dataclasses import dataclass

import numpy as np

from services.scoring.engine.measure import measure
from services.scoring.engine.score import Scores, score
from services.scoring.engine.state import State
from services.scoring.engine.table import IntArray


@dataclass
class Evaluation:
    """Some accounts evaluated on the running day."""

    accounts: IntArray  # [row]
    tenths: IntArray  # [row]
    coverage: IntArray  # [row], hundredths
    cards: IntArray  # [row]
    contributions: IntArray  # [row, column], hundredths
    by_card: dict[int, tuple[Scores, IntArray]]  # scores, and for each row its place in them


def evaluate(state: State, accounts: IntArray) -> Evaluation:
    """Evaluate accounts; changes nothing."""
    assert state.plan is not None
    values = measure(state, accounts)
    count = len(accounts)
    cards = state.accounts.cards[accounts]
    result = Evaluation(
        accounts,
        np.empty(count, np.int64),
        np.empty(count, np.int64),
        cards,
        np.zeros((count, len(state.plan.columns)), np.int64),
        {},
    )
    for number in np.unique(cards).tolist():
        rows = np.flatnonzero(cards == number)
        scores = score(state.plan.scorecards[number], values[:, rows])
        result.tenths[rows] = scores.tenths
        result.coverage[rows] = scores.coverage
        result.contributions[rows[:, None], scores.card.columns] = scores.contributions.T
        places = np.empty(count, np.int64)
        places[rows] = np.arange(len(rows))
        result.by_card[number] = (scores, places)
    return result
