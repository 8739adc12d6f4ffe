"""Open-addressing tables of 64-bit hashes in numpy: many keys at once, no object per key."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

HashArray = NDArray[np.uint64]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SlotArray = NDArray[np.int32]

EMPTY = np.int32(-1)
_SHIFT = np.uint64(29)
_MIX = np.uint64(0x9E3779B97F4A7C15)


def grown(array: Any, size: int, fill: Any = 0, axis: int = 0) -> Any:
    """The array, or a copy with at least twice the room along an axis."""
    if array.shape[axis] >= size:
        return array
    shape = list(array.shape)
    shape[axis] = max(size, 2 * array.shape[axis])
    larger = np.full(shape, fill, dtype=array.dtype)
    larger[tuple(slice(0, length) for length in array.shape)] = array
    return larger


def keys_of(hashes: HashArray, accounts: IntArray) -> HashArray:
    """What tells users, or values, of all accounts apart: a hash of each, and its account."""
    keys: HashArray = hashes + accounts.astype(np.uint64) * _MIX
    return keys


def hashes_of(texts: Sequence[str], seeds: Iterable[int]) -> HashArray:
    """A 64-bit hash of each text, keyed with its seed."""
    hashes = map(xxh3_64_intdigest, map(str.encode, texts), seeds)
    return np.fromiter(hashes, np.uint64, len(texts))


def distinct(numbers: IntArray) -> IntArray:
    """The different numbers, ascending; by sorting, which is faster than `np.unique`."""
    ordered = np.sort(numbers)
    is_first = np.ones(len(ordered), dtype=bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return ordered[is_first]


class HashTable:
    """Numbers distinct hashes 0, 1, 2, … in the order in which they come.

    Linear probing, at most two thirds full: about 6 bytes a hash beside the 8 of its own.
    """

    def __init__(self, capacity: int = 64) -> None:
        self.count = 0
        self.slots: SlotArray = np.full(capacity, EMPTY)  # [slot], the number that stands there
        self.hashes: HashArray = np.zeros(16, dtype=np.uint64)  # [number]

    def find(self, hashes: HashArray) -> IntArray:
        """The number of each hash, −1 where it is unknown."""
        slots = self._home(hashes)
        mask = len(self.slots) - 1
        at = self.slots[slots]
        same = (self.hashes[at] == hashes) & (at != EMPTY)
        found = np.where(same, at, np.int64(-1))  # most stand where they are looked for first
        open_ = np.flatnonzero(~same & (at != EMPTY))
        slots = (slots[open_] + 1) & mask
        while len(open_):
            at = self.slots[slots]
            taken = at != EMPTY
            same = taken & (self.hashes[at] == hashes[open_])
            found[open_[same]] = at[same]
            going = taken & ~same
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
        fresh = hashes[unknown]
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
        if end > len(self.hashes):
            self.hashes = np.resize(self.hashes, end + max(64, end // 4))
        self.hashes[start:end] = distinct
        self._place(distinct, np.arange(start, end, dtype=np.int32))
        self.count = end

    def _make_room(self, more: int) -> None:
        capacity = len(self.slots)
        while (self.count + more) * 3 > capacity * 2:
            capacity *= 2
        if capacity > len(self.slots):
            self.slots = np.full(capacity, EMPTY)
            self._place(self.hashes[: self.count], np.arange(self.count, dtype=np.int32))

    def _place(self, hashes: HashArray, numbers: SlotArray) -> None:
        mask = len(self.slots) - 1
        slots = self._home(hashes)
        while len(numbers):
            free = self.slots[slots] == EMPTY
            self.slots[slots[free]] = numbers[free]
            lost = self.slots[slots] != numbers
            numbers, slots = numbers[lost], (slots[lost] + 1) & mask

    def _home(self, hashes: HashArray) -> IntArray:
        mixed = (hashes ^ (hashes >> _SHIFT)) * _MIX
        return ((mixed >> np.uint64(20)) & np.uint64(len(self.slots) - 1)).astype(np.int64)
