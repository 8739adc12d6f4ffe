"""A set of 64-bit hashes in numpy, at 8 bytes each: sorted runs, each much longer than the next."""

import numpy as np
from numpy.typing import NDArray

from services.scoring.engine.table import HashArray, IntArray

GROWTH = 2
"""A run is at least so many times as long as the one behind it, or both become one."""


class HashSet:
    """Remembers hashes; as large as what it holds, and half as much again while runs are merged."""

    def __init__(self) -> None:
        self.runs: list[HashArray] = []  # each ascending, all different

    def __len__(self) -> int:
        return sum(map(len, self.runs))

    def has(self, hashes: HashArray) -> NDArray[np.bool_]:
        """Whether each of the hashes is in the set. [hash]"""
        order = np.argsort(hashes)  # neighbours look into the same part of a run
        known = np.empty(len(hashes), dtype=bool)
        known[order] = self._has_ascending(hashes[order])
        return known

    def add(self, hashes: HashArray) -> IntArray:
        """Remember the hashes; the positions at which a new one came first, ascending."""
        order = np.argsort(hashes)
        ordered = hashes[order]
        unknown = ~self._has_ascending(ordered)
        order, ordered = order[unknown], ordered[unknown]
        if not len(ordered):
            return order
        is_first = np.ones(len(order), dtype=bool)
        is_first[1:] = ordered[1:] != ordered[:-1]
        starts = np.flatnonzero(is_first)
        self._append(ordered[starts])
        return np.sort(np.minimum.reduceat(order, starts))

    def _has_ascending(self, hashes: HashArray) -> NDArray[np.bool_]:
        found = np.zeros(len(hashes), dtype=bool)
        for run in self.runs:
            at = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            found |= run[at] == hashes
        return found

    def _append(self, run: HashArray) -> None:
        while self.runs and len(self.runs[-1]) < GROWTH * len(run):
            run = np.sort(np.concatenate((self.runs.pop(), run)), kind="stable")
        self.runs.append(run)
