"""The properties that signals read: most events were decoded with them, the others now."""

from dataclasses import replace

import numpy as np

from services.scoring.engine.columns import Columns
from services.scoring.engine.decode import Quarantined
from services.scoring.engine.event import UNREADABLE, Event, decoder_with
from services.scoring.engine.event_types import is_reserved
from services.scoring.engine.plan import Plan
from services.scoring.engine.table import BoolArray


def with_properties(
    plan: Plan, batch: Columns, ahead: BoolArray, bad: list[Quarantined]
) -> Columns:
    """The events whose properties can be read, with those that the plan's signals read of them.

    The others are put aside. Of reserved types all properties have to be readable, and of what is
    `ahead` of the clock [event]: a later configuration may read them, and what was seen and cannot
    be read when its day comes could not be sent again.
    """
    whole = ahead.copy()
    whole[batch.of(frozenset(filter(is_reserved, batch.present)))] = True
    if plan.carried is not None and batch.carry == plan.carried and _are_readable(batch, whole):
        return batch
    good: list[int] = []
    events: list[Event] = []
    for at, record in enumerate(batch.records):
        try:
            if whole[at]:
                batch.all_properties(at)
            properties = plan.properties_of(batch.types[at])
            events.append(decoder_with(properties)(record.value or b""))
            good.append(at)
        except UNREADABLE as error:
            bad.append(Quarantined(record.offset, str(error) or repr(error), record.value or b""))
    return replace(batch.take(np.array(good, np.int64)), events=events, carry=None)


def _are_readable(batch: Columns, whole: BoolArray) -> bool:
    try:
        for at in np.flatnonzero(whole).tolist():
            batch.all_properties(at)
    except UNREADABLE:
        return False
    return True
