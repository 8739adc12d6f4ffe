"""What is kept of each part of a score, laid out by the parts that a configuration names."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from services.scoring.engine.state import State
from services.scoring.engine.table import IntArray


def keep_parts(state: State, old: Sequence[str]) -> None:
    """Lay out by the plan's parts what was laid out by the `old` ones, each by its name.

    What was published of parts that are no more is kept by name, until the next publication.
    """
    assert state.plan is not None
    new = {name: number for number, name in enumerate(state.plan.parts)}
    published, size = state.published, max(16, state.accounts.count)
    before = published.shares
    for part, name in enumerate(old):
        if name not in new:
            for account in np.flatnonzero(before[part]).tolist():
                published.gone.setdefault(account, {})[name] = int(before[part, account])
    kept = [(number, new[name]) for number, name in enumerate(old) if name in new]
    rows = np.array([number for number, _ in kept], np.int64)
    places = np.array([number for _, number in kept], np.int64)
    shape = len(new), size
    state.evaluated = _laid_out(state.evaluated, rows, places, shape)
    state.time_parts = _laid_out(state.time_parts, rows, places, shape)
    published.shares = _laid_out(before, rows, places, shape)
    _come_back(state, new)


def _laid_out(array: Any, rows: IntArray, places: IntArray, shape: tuple[int, int]) -> Any:
    laid_out = np.zeros(shape, array.dtype)
    width = min(shape[1], array.shape[1])
    laid_out[places, :width] = array[rows, :width]
    return laid_out


def _come_back(state: State, new: dict[str, int]) -> None:
    """What was gone and is a part again, before anything was published without it."""
    published = state.published
    for account, gone in list(published.gone.items()):
        for name in gone.keys() & new.keys():
            published.shares[new[name], account] = gone.pop(name)
        if not gone:
            del published.gone[account]
