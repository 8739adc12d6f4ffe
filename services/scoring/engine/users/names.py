"""User ids in one arena of bytes: 2 bytes a user beside the text itself, and no object."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.scoring.engine.table import IntArray

_BLOCK = 64  # users between two known starts


class Names:
    """Texts by number; a text that was erased is gone, and its number stays."""

    def __init__(self) -> None:
        self.count = 0
        self.lengths: NDArray[np.uint16] = np.zeros(16, np.uint16)  # [number]
        self.starts: IntArray = np.zeros(1, np.int64)  # [block]
        self.arena: NDArray[np.uint8] = np.zeros(256, np.uint8)
        self.nameless: set[int] = set()  # erased, or never known

    def append(self, texts: Sequence[bytes]) -> None:
        """Number these texts on; an empty one is nameless from the beginning."""
        end = self.count + len(texts)
        lengths = np.fromiter(map(len, texts), np.uint16, len(texts))
        self.nameless |= {self.count + at for at in np.flatnonzero(lengths == 0).tolist()}
        self._append(lengths, np.frombuffer(b"".join(texts), np.uint8))
        self.count = end

    def _append(self, lengths: NDArray[np.uint16], text: NDArray[np.uint8]) -> None:
        start, end = self.count, self.count + len(lengths)
        first = self._start(start)
        ends = first + np.cumsum(lengths, dtype=np.int64)
        self.lengths = roomy(self.lengths, end)
        self.lengths[start:end] = lengths
        self.starts = roomy(self.starts, end // _BLOCK + 1)
        blocks = np.arange(start // _BLOCK + 1, end // _BLOCK + 1)
        self.starts[blocks] = ends[blocks * _BLOCK - start - 1]
        self.arena = roomy(self.arena, first + len(text))
        self.arena[first : first + len(text)] = text

    def _start(self, number: int) -> int:
        block = number // _BLOCK
        return int(self.starts[block]) + int(self.lengths[block * _BLOCK : number].sum())

    def _place(self, number: int) -> slice:
        start = self._start(number)
        return slice(start, start + int(self.lengths[number]))

    def text(self, number: int) -> str | None:
        """A text; None where it was erased."""
        return self.texts(np.array([number]))[0]

    def texts(self, numbers: IntArray) -> list[str | None]:
        """Many texts at once."""
        blocks = numbers // _BLOCK
        places = blocks[:, None] * _BLOCK + np.arange(_BLOCK)
        before = np.where(places < numbers[:, None], self.lengths.take(places, mode="clip"), 0)
        starts = self.starts[blocks] + before.sum(axis=1, dtype=np.int64)
        ends = (starts + self.lengths[numbers]).tolist()
        kept = zip(numbers.tolist(), starts.tolist(), ends, strict=True)
        return [
            None if number in self.nameless else self.arena[start:end].tobytes().decode()
            for number, start, end in kept
        ]

    def erase(self, number: int) -> None:
        """Let nothing remain of a text but its length."""
        self.arena[self._place(number)] = 0
        self.nameless.add(number)

    def take(self, numbers: IntArray) -> "Names":
        """Some of the texts, ascending, under new numbers."""
        taken = Names()
        lengths = self.lengths[: self.count]
        kept = np.zeros(self.count, dtype=bool)
        kept[numbers] = True
        used = int(lengths.sum(dtype=np.int64))
        taken._append(lengths[numbers], self.arena[:used][np.repeat(kept, lengths)])
        taken.count = len(numbers)
        places = np.cumsum(kept) - 1
        taken.nameless = {int(places[number]) for number in self.nameless if kept[number]}
        return taken


def roomy(array: Any, size: int) -> Any:
    """The array, or a copy with a quarter more room than is needed now."""
    return array if len(array) >= size else resized(array, size + max(64, size // 4))


def resized(array: Any, size: int) -> Any:
    """A copy of just this size; pages of it that hold nothing but zeros take no memory yet."""
    larger = np.zeros(size, dtype=array.dtype)
    if array.any():
        larger[: len(array)] = array
    return larger
