"""Keyed hashes of the values that sets tell apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from xxhash import xxh3_64_intdigest

from services.scoring.engine.plan import text_of
from services.scoring.engine.table import HashArray, IntArray

REMEMBERED_MAX = 10_000


class ValueHashes:
    """Hashes values, and remembers those of texts: products have few features, used often."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.known: dict[str, int] = {}

    def of(self, values: Sequence[Any]) -> tuple[HashArray, IntArray]:
        """The hashes of the values that can be told apart, and the positions of these."""
        if {*map(type, values)} == {str}:
            new = set(values) - self.known.keys()
            if len(new) + len(self.known) > REMEMBERED_MAX:
                self.known, new = {}, set(values)
            self.known.update((text, self._hash(text)) for text in new)
            hashes = np.fromiter(map(self.known.__getitem__, values), np.uint64, len(values))
            return hashes, np.arange(len(values))
        texts = [text_of(value) for value in values]
        positions = [at for at, text in enumerate(texts) if text is not None]
        found = [xxh3_64_intdigest(text, self.seed) for text in texts if text is not None]
        return np.array(found, dtype=np.uint64), np.array(positions, dtype=np.int64)

    def _hash(self, value: str) -> int:
        return xxh3_64_intdigest(text_of(value) or b"", self.seed)
