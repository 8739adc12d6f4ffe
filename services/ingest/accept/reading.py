"""Reading: each record of a batch by itself, before what is known of users is asked for."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET

from services.ingest.accept.control import CONTROL_KEY, SigningRules, examine_control
from shared.events import Barrier, Erasure, Tick
from shared.native.event import JOINED, LEFT, Event, examine
from shared.native.refusal import Refused

UNFORESEEN = (
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    RecursionError,
    MemoryError,
)
"""What no rule names, and yet must not stop a partition."""


class SourceRecord(msgspec.Struct, frozen=True):
    """A record as it stands in a partition of `usage.events`."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    signature: bytes | None = None
    replayed_from: bytes | None = None
    """Where it stands among what was refused, if it was sent again from there."""


class Reading(msgspec.Struct, frozen=True):
    """What a record says, or why it says nothing."""

    record: SourceRecord
    body: Event | Tick | Barrier | Erasure | Refused


def read(record: SourceRecord, received_ms: int, rules: SigningRules) -> Reading:
    """Read one record, received at an instant."""
    try:
        if record.key is not None and record.key.startswith(CONTROL_KEY):
            body: Event | Tick | Barrier | Erasure = examine_control(
                record.value, record.signature, record.partition, rules
            )
        else:
            body = examine(record.value, received_ms)
    except Refused as refused:
        return Reading(record, refused)
    except UNFORESEEN as error:
        why = Refused("undecodable", f"The record cannot be read: {error!r}.")
        return Reading(record, why)
    return Reading(record, body)


@dataclass
class Users:
    """The users of a batch."""

    named: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)
    """Those whose memberships the batch needs."""
    joining: set[str] = field(default_factory=set)
    """Of them those who join an account in it."""


def users(readings: Iterable[Reading]) -> Users:
    """Whom the batch is about."""
    found = Users()
    for reading in readings:
        event = reading.body
        if isinstance(event, Erasure):
            found.needed.add(event.user_id)
            found.named.add(event.user_id)
        if not isinstance(event, Event) or event.user_id is UNSET:
            continue
        found.named.add(event.user_id)
        if event.account_id is UNSET or event.type in (JOINED, LEFT):
            found.needed.add(event.user_id)
        if event.type == JOINED:
            found.joining.add(event.user_id)
    return found
