"""Events' properties, decoded only where a signal reads them, and only those that it reads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from services.scoring.engine.decode import UNREADABLE, Columns, Quarantined
from services.scoring.engine.event_types import is_reserved
from services.scoring.engine.plan import Plan
from services.scoring.engine.table import IntArray

Decode = Callable[[msgspec.Raw], Any]


@dataclass(frozen=True)
class Properties:
    """The properties of events, as far as the plan's signals read them."""

    attributes: Mapping[str, str]  # of each property, under which it stands in `decoded`
    decoded: list[Any]  # [event]

    def of(self, name: str, positions: Sequence[int]) -> list[Any]:
        """One property of the events at some positions; None where an event has none of the name.

        The events are of types of which the plan has signals that read this property.
        """
        read = attrgetter(self.attributes[name])
        decoded = self.decoded
        return [read(decoded[at]) for at in positions]

    def take(self, positions: IntArray) -> "Properties":
        """Those of some of the events, ascending."""
        if len(positions) == len(self.decoded):
            return self
        return Properties(self.attributes, [self.decoded[at] for at in positions.tolist()])


def read_properties(
    plan: Plan, batch: Columns, bad: list[Quarantined]
) -> tuple[IntArray, Properties]:
    """The positions of the events whose properties can be read, and these.

    The others are put aside.
    """
    try:
        return np.arange(len(batch)), _decoded(plan, batch)
    except UNREADABLE:
        pass
    good: list[int] = []
    for at in range(len(batch)):
        offset, _, value = batch.records[at]
        try:
            _decoded(plan, batch.part(at, at + 1))
            good.append(at)
        except UNREADABLE as error:
            bad.append(Quarantined(offset, str(error), value or b""))
    positions = np.array(good, dtype=np.int64)
    return positions, _decoded(plan, batch.take(positions))


def _decoded(plan: Plan, batch: Columns) -> Properties:
    """Raises MsgspecError or ValueError; of reserved types all properties have to be readable."""
    decoders = {name: _decoder(plan, name) for name in batch.present}
    for at in batch.of(frozenset(filter(is_reserved, batch.present))):
        _ = batch.events[at].properties
    if len({*decoders.values()}) == 1:
        decoder = next(iter(decoders.values()))
        decoded = list(map(decoder, [event.encoded for event in batch.events]))
    else:
        decoded = [decoders[event.type](event.encoded) for event in batch.events]
    return Properties(plan.property_attributes, decoded)


def _decoder(plan: Plan, event_type: str) -> Decode:
    names = plan.properties_of(event_type)
    return _decoder_of(tuple((plan.property_attributes[name], name) for name in names))


@lru_cache(maxsize=1000)
def _decoder_of(fields: tuple[tuple[str, str], ...]) -> Decode:
    """Decodes an object into one with these (attribute, property) alone."""
    found = [(attribute, Any, msgspec.field(name=name, default=None)) for attribute, name in fields]
    return msgspec.json.Decoder(msgspec.defstruct("Found", found, gc=False)).decode
