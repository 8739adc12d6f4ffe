"""Which signals take in which events of a batch.

Events of one type that are alike in all that a signal's `where` asks for are of one class; a signal
takes in all events of a class, or none. So the work does not grow with the number of signals.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from services.scoring.engine.columns import Columns
from services.scoring.engine.plan import DISTINCT, Plan, Signal
from services.scoring.engine.table import IntArray

CLASSES_MAX = 10_000
"""So many are remembered: whoever writes a type per event means something else."""

OTHER = -1

Values = tuple[int, ...]
"""Of each property that is asked for, the number of its value; OTHER for what nobody asks for."""


class Classes:
    """The classes under one plan, as they come."""

    def __init__(self, plan: Plan) -> None:
        self.signals = plan.signals
        self.asked: dict[str, tuple[str, ...]] = {}  # type → the properties that are asked for
        self.takers: dict[tuple[str, Values], tuple[int, ...]] = {}  # class → numbers of signals
        self.wanted: dict[str, dict[Any, int]] = defaultdict(dict)  # property → value → number
        for signal in plan.signals:
            for name, value in signal.where:
                self.wanted[name].setdefault(_token(value), len(self.wanted[name]))

    def positions(self, batch: Columns) -> dict[int, IntArray]:
        """By the number of the signal, the positions of the events that it takes in, ascending."""
        if len(self.asked) + len(self.takers) > CLASSES_MAX:
            self.asked, self.takers = {}, {}
        found: dict[int, list[IntArray]] = defaultdict(list)
        for event_type, positions in _by_type(batch):
            for values, part in self._by_values(batch, event_type, positions):
                for number in self._takers(event_type, values):
                    found[number].append(part)
        return {
            number: parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts))
            for number, parts in sorted(found.items())
        }

    def _by_values(
        self, batch: Columns, event_type: str, positions: IntArray
    ) -> Iterator[tuple[Values, IntArray]]:
        names = self.asked.get(event_type)
        if names is None:
            reading = [signal for signal in self.signals if signal.reads(event_type)]
            names = tuple(sorted({name for signal in reading for name, _ in signal.where}))
            self.asked[event_type] = names
        if not names:
            yield (), positions
            return
        places = positions.tolist()
        columns = [self._numbered(name, batch.property(name, places)) for name in names]
        classes: dict[Values, list[int]] = defaultdict(list)
        for at, values in zip(places, zip(*columns, strict=True), strict=True):
            classes[values].append(at)
        for values, part in classes.items():
            yield values, np.array(part)

    def _numbered(self, name: str, values: Sequence[Any]) -> list[int]:
        wanted = self.wanted[name]
        return [
            wanted.get(_token(value), OTHER) if isinstance(value, DISTINCT) else OTHER
            for value in values
        ]

    def _takers(self, event_type: str, values: Values) -> tuple[int, ...]:
        takers = self.takers.get((event_type, values))
        if takers is None:
            given = dict(zip(self.asked[event_type], values, strict=True))
            takers = tuple(
                number
                for number, signal in enumerate(self.signals)
                if self._takes(signal, event_type, given)
            )
            self.takers[event_type, values] = takers
        return takers

    def _takes(self, signal: Signal, event_type: str, given: dict[str, int]) -> bool:
        if signal.closes(event_type):
            return True
        return signal.reads(event_type) and all(
            given[name] == self.wanted[name][_token(value)] for name, value in signal.where
        )


def _token(value: Any) -> tuple[bool, Any]:
    """What JSON tells apart: true is not 1, and 1.0 is."""
    return isinstance(value, bool), value


def _by_type(batch: Columns) -> Iterator[tuple[str, IntArray]]:
    """The positions of the events of each type."""
    types = sorted(batch.present)
    if len(types) == 1:
        yield types[0], np.arange(len(batch))
        return
    number = {name: at for at, name in enumerate(types)}
    width = np.min_scalar_type(len(types))  # the narrower, the faster it is sorted
    numbers = np.fromiter(map(number.__getitem__, batch.types), width, len(batch))
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(np.bincount(numbers, minlength=len(types)))
    yield from zip(types, np.split(order, ends[:-1]), strict=True)
