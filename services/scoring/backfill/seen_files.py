"""The ids that were seen, on disk: the memory holds those of the days in use alone."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from services.scoring.engine.dedupe import OWN
from services.scoring.engine.hashes import HashSet
from services.scoring.engine.state import State
from services.scoring.engine.table import HashArray


class SeenFiles:
    """A file for each bucket of hashes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def keep(self, seen: Mapping[int, Sequence[HashArray]]) -> None:
        """Write what a step has seen; buckets by the day of receipt stay in memory."""
        for number, hashes in seen.items():
            if number % 2 == OWN:
                with self._path(number).open("ab") as file:
                    file.writelines(each.tobytes() for each in hashes)

    def load(self, state: State, buckets: Iterable[int]) -> None:
        """Bring buckets into memory; what has no file is empty."""
        for number in buckets:
            state.seen[number] = HashSet()
            if self._path(number).exists():
                state.seen[number].add(np.fromfile(self._path(number), np.uint64))

    def forget(self, oldest_day: int) -> None:
        """Drop the buckets of days before."""
        for path in self.directory.iterdir():
            if int(path.name) // 2 < oldest_day:
                path.unlink()

    def _path(self, number: int) -> Path:
        return self.directory / str(number)
