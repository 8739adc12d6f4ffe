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
        ordered = hashes[order]
        found = np.zeros(len(ordered), dtype=bool)
        for run in self.runs:
            at = np.minimum(np.searchsorted(run, ordered), len(run) - 1)
            found |= run[at] == ordered
        known = np.empty_like(found)
        known[order] = found
        return known

    def add(self, hashes: HashArray) -> IntArray:
        """Remember the hashes; the positions at which a new one came first, ascending."""
        unknown = np.flatnonzero(~self.has(hashes))
        if not len(unknown):
            return unknown
        fresh = hashes[unknown]
        order = np.argsort(fresh, kind="stable")
        ordered = fresh[order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = ordered[1:] != ordered[:-1]
        self._append(ordered[first])
        return np.sort(unknown[order[first]])

    def _append(self, run: HashArray) -> None:
        while self.runs and len(self.runs[-1]) < GROWTH * len(run):
            run = np.sort(np.concatenate((self.runs.pop(), run)), kind="stable")
        self.runs.append(run)
