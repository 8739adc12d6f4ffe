"""Events on their way into the state: theirs is this partition, and they can be read."""

from dataclasses import dataclass

from services.scoring.engine.decode import Columns
from services.scoring.engine.properties import Properties
from services.scoring.engine.table import HashArray, IntArray


@dataclass(frozen=True)
class Arriving:
    """Events with the keyed hashes of their accounts, and what signals read of their properties."""

    events: Columns
    hashes: HashArray  # [event]
    properties: Properties

    def __len__(self) -> int:
        return len(self.events)

    def take(self, positions: IntArray) -> "Arriving":
        """Some of the events, ascending."""
        return Arriving(
            self.events.take(positions), self.hashes[positions], self.properties.take(positions)
        )
