"""Accepted events, decoded from the JSON of the log."""

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, cast

import msgspec

from shared.native.event import NAME_CHARACTERS_MAX

Name = Annotated[str, msgspec.Meta(max_length=NAME_CHARACTERS_MAX)]

Properties = tuple[str, ...]
"""Names, ascending, each once."""

UNREADABLE = (
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    RecursionError,
    MemoryError,
)
"""What decoding bytes may raise, and more than it ever did: the record is put aside."""


class Event(msgspec.Struct, gc=False):
    """An accepted event without its properties."""

    id: Name
    type: Name
    account_id: Name
    time: str
    source: Name
    received_at: str
    user_id: Name | None = None
    original_time: str | None = None


class _Properties(msgspec.Struct, gc=False):
    properties: dict[str, Any] = {}


_decode_properties = msgspec.json.Decoder(_Properties).decode
decode_event = msgspec.json.Decoder(Event).decode


def all_properties(value: bytes | None) -> dict[str, Any]:
    """All properties of an event: for the few types of which they all are needed.

    Raises what is UNREADABLE.
    """
    return _decode_properties(value or b"").properties


@lru_cache(maxsize=1000)
def decoder_with(properties: Properties) -> Callable[[bytes], Event]:
    """Decodes events that carry these properties, for `property_of`; others are passed over.

    It raises what is UNREADABLE.
    """
    kept = [(_attribute(name), Any, msgspec.field(name=name, default=None)) for name in properties]
    carried = msgspec.defstruct("Carried", kept, gc=False)
    field = msgspec.field(name="properties", default_factory=carried)
    with_them = msgspec.defstruct(
        "EventWithProperties", [("carried", carried, field)], bases=(Event,), gc=False
    )
    return cast(Callable[[bytes], Event], msgspec.json.Decoder(with_them).decode)


def path_of(name: str) -> str:
    """Where an event carries a property: a path for `operator.attrgetter`."""
    return f"carried.{_attribute(name)}"


def _attribute(name: str) -> str:
    """Property names are any text, attributes are not."""
    return "property_" + name.encode().hex()
