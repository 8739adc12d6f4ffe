"""The rules of a usage event, in the order in which they are told (docs/ingest.md)."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from shared.events import RESERVED_PREFIX, USAGE_EVENTS
from shared.native.decode import decode
from shared.native.refusal import Reason, Refused
from shared.native.time import normal_time
from shared.times import iso_time, time_ms

NAME_CHARACTERS_MAX = 128
TYPE_CHARACTERS_MAX = 100
FUTURE_MS_MAX = 5 * 60_000
PROPERTIES_BYTES_MAX = 32 * 1024
KEYS_MAX = 64
DEPTH_MAX = 8
NUL = "\0"

ACTS = frozenset({"account.overridden", "user.erased"})
"""What people do through the APIs: it comes no other way."""

JOINED = "user.joined"
LEFT = "user.left"


class Event(msgspec.Struct):
    """The native form, completed; as it stands in `usage.accepted` once the account is known."""

    id: str
    type: str
    account_id: str | UnsetType
    user_id: str | UnsetType
    time: str
    source: str
    properties: dict[str, Any]
    received_at: str


def examine(value: bytes | None, received_ms: int, source: str = USAGE_EVENTS) -> Event:
    """The event in the bytes, its account missing only where its user is named. Raises Refused.

    `source` is where it came from, for an event that does not say so itself.
    """
    given = decode(value)
    event = Event(
        id=_required(given, "id", NAME_CHARACTERS_MAX, "missing_id", "bad_id"),
        type=_type(given),
        account_id=_account(given),
        user_id=_user(given),
        time=_time(given, received_ms),
        source=_source(given, source),
        properties=_properties(given),
        received_at=iso_time(received_ms),
    )
    if event.account_id is UNSET:
        _check_findable(event)
    return event


def _required(given: dict[str, Any], name: str, longest: int, missing: Reason, bad: Reason) -> str:
    text = given.get(name)
    if text is None:
        raise Refused(missing, f"{name} is missing.")
    if fault := name_fault(text, longest):
        raise Refused(bad, f"{name} {fault}.")
    return str(text)


def name_fault(text: Any, longest: int = NAME_CHARACTERS_MAX) -> str | None:
    """What is wrong with a name; None if nothing is."""
    if not isinstance(text, str):
        return "is not a string"
    if not 1 <= len(text) <= longest:
        return f"has {len(text)} characters, not 1 to {longest}"
    if NUL in text:
        return "contains a NUL"
    return None


def _type(given: dict[str, Any]) -> str:
    name = _required(given, "type", TYPE_CHARACTERS_MAX, "missing_type", "bad_type")
    if name.startswith(RESERVED_PREFIX):
        raise Refused("bad_type", f"Types beginning with {RESERVED_PREFIX} are reserved.")
    if name in ACTS:
        raise Refused("bad_type", f"{name} comes from the API or the command line only.")
    return name


def _account(given: dict[str, Any]) -> str | UnsetType:
    account = given.get("account_id")
    if account is None:
        return UNSET
    if fault := name_fault(account):
        raise Refused("unknown_account", f"account_id {fault}.")
    if account.startswith(RESERVED_PREFIX):
        raise Refused("unknown_account", f"Ids beginning with {RESERVED_PREFIX} are reserved.")
    return str(account)


def _user(given: dict[str, Any]) -> str | UnsetType:
    user = given.get("user_id")
    if user is None:
        return UNSET
    if fault := name_fault(user):
        raise Refused("bad_user", f"user_id {fault}.")
    return str(user)


def _time(given: dict[str, Any], received_ms: int) -> str:
    text = given.get("time")
    if text is None:
        raise Refused("missing_time", "time is missing.")
    if not isinstance(text, str):
        raise Refused("bad_time", "time is not a string.")
    try:
        time = normal_time(text)
    except ValueError as error:
        raise Refused("bad_time", f"time cannot be read: {error}.") from None
    if time_ms(time) > received_ms + FUTURE_MS_MAX:
        raise Refused(
            "future_time", f"time is more than 5 min after its receipt at {iso_time(received_ms)}."
        )
    return time


def _source(given: dict[str, Any], default: str) -> str:
    """Never a reason to refuse: what cannot name a source leaves it to where it came from."""
    source = given.get("source")
    return default if name_fault(source) else str(source)


def _properties(given: dict[str, Any]) -> dict[str, Any]:
    properties = given.get("properties")
    if properties is None:
        return {}
    if not isinstance(properties, dict):
        raise Refused("bad_properties", "properties is not an object.")
    if len(properties) > KEYS_MAX:
        raise Refused("bad_properties", f"properties has {len(properties)} keys, over {KEYS_MAX}.")
    try:
        encoded = msgspec.json.encode(properties)
    except RecursionError:
        raise Refused("bad_properties", "properties is nested too deep.") from None
    if len(encoded) > PROPERTIES_BYTES_MAX:
        raise Refused(
            "too_large", f"properties takes {len(encoded)} bytes, over {PROPERTIES_BYTES_MAX}."
        )
    # Most events can be seen not to be deep, and to have no NUL, without walking through them.
    if encoded.count(b"{") + encoded.count(b"[") > DEPTH_MAX and _depth(properties) > DEPTH_MAX:
        raise Refused("bad_properties", f"properties is nested deeper than {DEPTH_MAX} levels.")
    if b"\\u0000" in encoded and _has_nul(properties):
        raise Refused("bad_properties", "properties contains a NUL.")
    return properties


def _depth(value: Any) -> int:
    """Levels of objects and arrays; stops counting one beyond what is allowed."""
    levels, layer = 0, [value]
    while levels <= DEPTH_MAX:
        layer = [one for one in layer if isinstance(one, dict | list)]
        if not layer:
            break
        levels += 1
        layer = [item for one in layer for item in (one.values() if isinstance(one, dict) else one)]
    return levels


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return NUL in value
    if isinstance(value, dict):
        return any(NUL in key or _has_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


def _check_findable(event: Event) -> None:
    if event.user_id is UNSET:
        raise Refused("unknown_account", "account_id is missing, and there is no user_id.")
    if event.type == JOINED:
        raise Refused("unknown_account", "user.joined must name its account.")
