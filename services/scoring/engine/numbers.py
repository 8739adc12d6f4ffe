"""What counts as a number, and sums that do not depend on their order."""

import re
from typing import Any

import numpy as np

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


def millionths_of(value: Any) -> int | None:
    """A number as a whole number of millionths: nearest, ties to even."""
    number = number_of(value)
    return None if number is None else int(np.rint(number * MILLIONTHS))
