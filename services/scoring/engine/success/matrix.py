"""The utilisation matrix: each account's levels of two metrics, its stage and what is suggested."""

import numpy as np

from services.scoring.engine.success.plan import NO_ACTION, AxisPlan, MatrixPlan
from services.scoring.engine.success.state import SmallArray
from services.scoring.engine.table import FloatArray, IntArray
from shared.events import MatrixCell

UNKNOWN = -1
_LEVELS = 16  # above the number of levels, unknown included
_ACTIONS = 4096  # above the number of actions, none included


def codes(plan: MatrixPlan | None, values: FloatArray) -> tuple[SmallArray, SmallArray]:
    """One number for each account's cell and suggested action, of values [column, row]. [row]

    The first are those of accounts in the best band, the second those of the others.
    """
    if plan is None:
        return np.zeros(values.shape[1], np.int32), np.zeros(values.shape[1], np.int32)
    x, y = _level(plan.x, values), _level(plan.y, values)
    is_known = (x != UNKNOWN) & (y != UNKNOWN)
    actions = np.where(is_known, plan.cell_actions[y, x], NO_ACTION)
    instead, cells = plan.instead[actions], ((x + 1) * _LEVELS + y + 1) * _ACTIONS + 1
    if plan.satisfaction is not None:
        is_dissatisfied = values[plan.satisfaction] < plan.satisfied_from  # unknown is not bad
        actions = np.where(is_dissatisfied, instead, actions)
    return (cells + actions).astype(np.int32), (cells + instead).astype(np.int32)


def _level(axis: AxisPlan, values: FloatArray) -> IntArray:
    """How many levels each value has reached; UNKNOWN where it is not known. [row]"""
    value = values[axis.column]
    return np.where(np.isnan(value), UNKNOWN, np.searchsorted(axis.levels, value, side="right"))


def code_of(plan: MatrixPlan | None, x: int | None, y: int | None, action: str | None) -> int:
    """The code of a cell and a suggested action; that of none where no longer in the matrix."""
    if plan is None:
        return 0
    levels = [UNKNOWN if level is None else level for level in (x, y)]
    number = plan.actions.index(action) if action in plan.actions else NO_ACTION
    return ((levels[0] + 1) * _LEVELS + levels[1] + 1) * _ACTIONS + number + 1


def cell(plan: MatrixPlan | None, code: int) -> MatrixCell | None:
    """What a code says."""
    if plan is None:
        return None
    levels, action = divmod(code, _ACTIONS)
    x, y = (level - 1 for level in divmod(levels, _LEVELS))
    return MatrixCell(
        x=None if x == UNKNOWN else x,
        y=None if y == UNKNOWN else y,
        stage=None if UNKNOWN in (x, y) else plan.stages[y][x],
        action=plan.actions[action - 1] if action else None,
    )
