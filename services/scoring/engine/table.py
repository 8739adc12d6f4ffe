"""Open-addressing tables of 64-bit hashes in numpy: many keys at once, no object per key."""

import numpy as np
from numpy.typing import NDArray

HashArray = NDArray[np.uint64]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

EMPTY = np.uint64(0)
_SHIFT = np.uint64(29)
_MIX = np.uint64(0x9E3779B97F4A7C15)


def distinct(numbers: IntArray) -> IntArray:
    """The different numbers, ascending; by sorting, which is faster than `np.unique`."""
    ordered = np.sort(numbers)
    is_first = np.ones(len(ordered), dtype=bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return ordered[is_first]


class HashTable:
    """Numbers distinct hashes 0, 1, 2, … in the order in which they come.

    Linear probing, at most two thirds full. A hash of 0 stands for 1.
    """

    def __init__(self, capacity: int = 64) -> None:
        self.count = 0
        self.keys: HashArray = np.zeros(capacity, dtype=np.uint64)  # [slot], 0 is empty
        self.numbers: IntArray = np.zeros(capacity, dtype=np.int64)  # [slot]
        self.hashes: HashArray = np.zeros(16, dtype=np.uint64)  # [number]

    def find(self, hashes: HashArray) -> IntArray:
        """The number of each hash, −1 where it is unknown."""
        wanted = np.maximum(hashes, np.uint64(1))
        found = np.full(len(wanted), -1, dtype=np.int64)
        open_ = np.arange(len(wanted))
        slots = self._home(wanted)
        mask = len(self.keys) - 1
        while len(open_):
            at = self.keys[slots]
            same = at == wanted[open_]
            found[open_[same]] = self.numbers[slots[same]]
            going = ~same & (at != EMPTY)
            open_ = open_[going]
            slots = (slots[going] + 1) & mask
        return found

    def add(self, hashes: HashArray) -> tuple[IntArray, IntArray]:
        """Number every hash, new ones included.

        Returns the number of each, and the positions at which a new hash came first, ascending.
        """
        numbers = self.find(hashes)
        unknown = np.flatnonzero(numbers < 0)
        if not len(unknown):
            return numbers, unknown
        fresh = np.maximum(hashes[unknown], np.uint64(1))
        order = np.argsort(fresh, kind="stable")
        ordered = fresh[order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = ordered[1:] != ordered[:-1]
        firsts = np.sort(order[first])
        self._insert(fresh[firsts])
        numbers[unknown] = self.find(fresh)
        return numbers, unknown[firsts]

    def _insert(self, distinct: HashArray) -> None:
        """Insert hashes that are not in the table and differ from each other, in order."""
        self._make_room(len(distinct))
        start, end = self.count, self.count + len(distinct)
        self._place(distinct, np.arange(start, end))
        if end > len(self.hashes):
            self.hashes = np.resize(self.hashes, max(end, 2 * len(self.hashes)))
        self.hashes[start:end] = distinct
        self.count = end

    def _make_room(self, more: int) -> None:
        capacity = len(self.keys)
        while (self.count + more) * 3 > capacity * 2:
            capacity *= 2
        if capacity > len(self.keys):
            used = self.keys != EMPTY
            keys, numbers = self.keys[used], self.numbers[used]
            self.keys = np.zeros(capacity, dtype=np.uint64)
            self.numbers = np.zeros(capacity, dtype=np.int64)
            self._place(keys, numbers)

    def _place(self, keys: HashArray, numbers: IntArray) -> None:
        mask = len(self.keys) - 1
        slots = self._home(keys)
        while len(keys):
            free = self.keys[slots] == EMPTY
            self.keys[slots[free]] = keys[free]
            won = self.keys[slots] == keys
            self.numbers[slots[won]] = numbers[won]
            keys, numbers, slots = keys[~won], numbers[~won], (slots[~won] + 1) & mask

    def _home(self, keys: HashArray) -> IntArray:
        mixed = (keys ^ (keys >> _SHIFT)) * _MIX
        return ((mixed >> np.uint64(20)) & np.uint64(len(self.keys) - 1)).astype(np.int64)
