"""An account's health at the end of each day."""

import numpy as np

from services.scoring.engine.effects import Effects, HistoryRows
from services.scoring.engine.evaluate import Evaluation
from services.scoring.engine.publish import headings_of
from services.scoring.engine.state import SCORES_RING_DAYS, State


def write_history(state: State, day: int, evaluation: Evaluation, effects: Effects) -> None:
    """A row for each account whose health differs from the day before; all were evaluated.

    A stale account's is what it was published with.
    """
    accounts, published, count = state.accounts, state.published, state.accounts.count
    stale = accounts.stale[:count]
    headings = headings_of(state, evaluation.cards, evaluation.tenths)
    closed = evaluation.tenths, evaluation.coverage, headings
    held = published.tenths, published.coverage, published.headings
    columns = [np.where(stale, old[:count], new) for old, new in zip(held, closed, strict=True)]
    rows = np.stack([*columns, stale], axis=1)
    differ = np.flatnonzero((rows != accounts.history[:count]).any(axis=1))
    tenths, coverage, numbers = (column[differ] for column in columns)
    effects.history.append(
        HistoryRows(day, differ, tenths, coverage, numbers, stale[differ], published.known_headings)
    )
    accounts.history[:count] = rows
    accounts.closed_tenths[:count, day % SCORES_RING_DAYS] = rows[:, 0]
