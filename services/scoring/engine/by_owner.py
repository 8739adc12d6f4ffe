"""Finds what belongs to some accounts without looking at everything."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.scoring.engine.table import IntArray

_UNSORTED_MIN = 4096
_UNSORTED_SHARE = 8


@dataclass
class ByOwner:
    """Things in the order of their owners, but for the newest few, which are looked through.

    It is sorted anew when an eighth of all is unsorted; who numbers the things anew begins another.
    """

    count: int = 0  # so many things are sorted
    order: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    starts: IntArray = field(default_factory=lambda: np.zeros(1, np.int64))
    """[account], where its things begin in the order; one more for the end."""

    def of(self, owners: NDArray[Any], count: int, accounts: IntArray) -> tuple[IntArray, IntArray]:
        """The things of accounts, which ascend: their numbers, and for each the account's row.

        `owners` is [thing]; only the first `count` are in use.
        """
        if count - self.count > max(_UNSORTED_MIN, self.count // _UNSORTED_SHARE):
            self._sort(owners[:count])
        last = len(self.starts) - 1
        starts = self.starts[np.minimum(accounts, last)]
        sizes = self.starts[np.minimum(accounts + 1, last)] - starts
        rows = np.repeat(np.arange(len(accounts)), sizes)
        places = np.arange(len(rows)) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
        newest = owners[self.count : count]
        at = np.minimum(np.searchsorted(accounts, newest), len(accounts) - 1)
        own = np.flatnonzero(accounts[at] == newest)
        return (
            np.concatenate([self.order[places], self.count + own]),
            np.concatenate([rows, at[own]]),
        )

    def _sort(self, owners: NDArray[Any]) -> None:
        self.count = len(owners)
        self.order = np.argsort(owners, kind="stable").astype(np.int32)
        sizes = np.bincount(owners)
        self.starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
