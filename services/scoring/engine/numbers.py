"""What counts as a number, and sums that do not depend on their order."""

import re
from typing import Any

import numpy as np

from services.scoring.engine.table import FloatArray, IntArray

NUMBER_MAX = 10**9
MILLIONTHS = 1_000_000
_NUMBERS = (int, float)
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


def number_of(value: Any) -> float | None:
    """A JSON number, or a string that is a decimal number, of absolute value ≤ 10⁹."""
    if isinstance(value, str):
        value = float(value) if _DECIMAL.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        return None
    return float(value) if abs(value) <= NUMBER_MAX else None


def millionths(values: list[Any]) -> tuple[IntArray, IntArray]:
    """Numbers as whole numbers of millionths (nearest, ties to even), and where they stand.

    Returns (millionths, of no meaning where there is no number; positions of the numbers).
    """
    found = _plain(values)
    if found is None:
        numbers = [number_of(value) for value in values]
        found = np.array([np.nan if number is None else number for number in numbers])
    known = np.abs(found) <= NUMBER_MAX
    rounded = np.rint(np.where(known, found, 0.0) * MILLIONTHS).astype(np.int64)
    return rounded, np.flatnonzero(known)


def _plain(values: list[Any]) -> FloatArray | None:
    """The values, if all are numbers that fit into a double: the usual case, and the quick one."""
    if not {*map(type, values)} <= {int, float}:
        return None
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        return None
