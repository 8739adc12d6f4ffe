"""The properties that signals read: most events were decoded with them, the others now."""

from dataclasses import replace

import numpy as np

from services.scoring.engine.columns import Columns
from services.scoring.engine.decode import Quarantined
from services.scoring.engine.event import UNREADABLE, Event, all_properties, decoder_with
from services.scoring.engine.event_types import is_reserved
from services.scoring.engine.plan import Plan


def readable(plan: Plan, batch: Columns, bad: list[Quarantined]) -> Columns:
    """The events whose properties can be read, with those that the plan's signals read of them.

    The others are put aside. Of reserved types all properties have to be readable.
    """
    if batch.carry == plan.properties and _reserved_are_readable(batch):
        return batch
    good: list[int] = []
    events: list[Event] = []
    for at, record in enumerate(batch.records):
        try:
            events.append(_read(plan, batch.types[at], record.value or b""))
            good.append(at)
        except UNREADABLE as error:
            bad.append(Quarantined(record.offset, str(error), record.value or b""))
    return replace(batch.take(np.array(good, np.int64)), events=events)


def _reserved_are_readable(batch: Columns) -> bool:
    try:
        for at in batch.of(frozenset(filter(is_reserved, batch.present))):
            batch.all_properties(at)
    except UNREADABLE:
        return False
    return True


def _read(plan: Plan, event_type: str, value: bytes) -> Event:
    """An event with the properties that are read of its type."""
    if is_reserved(event_type):
        all_properties(value)
    return decoder_with(plan.properties_of(event_type))(value)
