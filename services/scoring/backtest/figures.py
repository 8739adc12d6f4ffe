"""How well numbers foretold what followed: ranking, lift and calibration. Pure.

`said` is a number for each account, higher where more is feared; `happened` says whether what was
feared came. docs/truth.md defines each figure.
"""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LEAST_OF_EACH = 3
"""With fewer of either outcome a ranking says nothing: such a cut-off is in no mean."""

BINS = 10
TOP_SHARE = 0.1


class Figures(msgspec.Struct, frozen=True):
    """One number on one population. `auc` and `lift` are None where an outcome is too rare."""

    n: int
    base_rate: float | None
    auc: float | None
    lift: float | None
    ece: float | None


class Bin(msgspec.Struct, frozen=True):
    """The accounts of which `low ≤ said < high` was said (the last bin includes 1)."""

    low: float
    high: float
    n: int
    said: float | None
    """The mean of what was said; None without an account."""
    happened: float | None
    """The share of them to which it happened."""


class Paired(NamedTuple):
    """The mean of differences, and its standard error; None where there are too few."""

    mean: float | None
    standard_error: float | None


def figures(said: FloatArray, happened: BoolArray) -> Figures:
    """All figures of one cut-off."""
    n, came = len(said), int(happened.sum())
    if not n:
        return Figures(0, None, None, None, None)
    enough = min(came, n - came) >= LEAST_OF_EACH
    return Figures(
        n,
        came / n,
        auc(said, happened) if enough else None,
        lift(said, happened) if enough else None,
        calibration_error(bins(said, happened)),
    )


def auc(said: FloatArray, happened: BoolArray) -> float:
    """The chance that, of two accounts, one to which it happened and one to which it did not, more
    was said of the first; equal numbers count half. Exact, by ranks (Mann and Whitney)."""
    _, place, counts = np.unique(said, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[place]  # equal numbers share their mean rank
    came = int(happened.sum())
    wins = float(ranks[happened].sum()) - came * (came + 1) / 2
    return wins / (came * (len(said) - came))


def lift(said: FloatArray, happened: BoolArray) -> float:
    """How many times more often than on the whole it happened to the tenth of which most was said.

    A tenth is ⌈n/10⌉ accounts; of those that share the last number in it, the expected part counts.
    """
    size = int(np.ceil(TOP_SHARE * len(said)))
    limit = np.sort(said)[-size]
    above, at = said > limit, said == limit
    share_of_equals = (size - int(above.sum())) / int(at.sum())
    hits = int(happened[above].sum()) + share_of_equals * int(happened[at].sum())
    return float(hits / size / happened.mean())


def bins(said: FloatArray, happened: BoolArray) -> list[Bin]:
    """Ten bins of equal width over 0–1: what was said against what happened."""
    place = np.minimum((said * BINS).astype(np.int64), BINS - 1)
    found = []
    for number in range(BINS):
        inside = place == number
        n = int(inside.sum())
        means = (float(said[inside].mean()), float(happened[inside].mean())) if n else (None, None)
        found.append(Bin(number / BINS, (number + 1) / BINS, n, *means))
    return found


def calibration_error(found: list[Bin]) -> float | None:
    """Expected calibration error: |happened − said| of the bins, weighted with their accounts."""
    total = sum(each.n for each in found)
    if not total:
        return None
    gaps = ((each.n, each.said, each.happened) for each in found if each.n)
    return sum(n * abs((happened or 0) - (said or 0)) for n, said, happened in gaps) / total


def mean(values: list[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def paired(differences: list[float]) -> Paired:
    """The mean difference and its standard error, over cut-offs."""
    if not differences:
        return Paired(None, None)
    found = np.array(differences)
    error = float(found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else None
    return Paired(float(found.mean()), error)
