"""Scores of accounts on days to come."""

from collections.abc import Iterator

import numpy as np

from services.scoring.engine.forecast.silence import Ahead
from services.scoring.engine.measure import values_of
from services.scoring.engine.score import Scores, score
from services.scoring.engine.table import IntArray


def cards_ahead(ahead: Ahead) -> IntArray:
    """The number of the scorecard of each. [row]"""
    cards = ahead.silence.state.accounts.cards[ahead.accounts].astype(np.int64)
    if (cards == cards[:, :1]).all():
        return cards[:, 0]
    found: IntArray = cards[np.arange(len(ahead)), ahead.standing().whole]
    return found


def scores_ahead(ahead: Ahead, cards: IntArray) -> Iterator[tuple[IntArray, Scores]]:
    """Their scores without overrides, each scorecard's together: rows, and their scores."""
    state = ahead.silence.state
    plan = state.plan
    assert plan is not None
    for number in np.flatnonzero(np.bincount(cards)).tolist():
        rows = np.flatnonzero(cards == number)
        own, card = ahead.take(rows), plan.scorecards[number]
        values = values_of(plan, own, plan.columns_of(card))
        yield rows, score(card, values, state.profile_matches[:, own.accounts])
