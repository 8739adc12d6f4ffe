"""Whether a refused record can be sent again, and as what. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import UNSET

from services.admin.rejected.entry import CORRUPT, Entry
from shared.events import REPLAYED_HEADER, RESERVED_PREFIX, SIGNATURE_HEADER, encode, is_signed
from shared.native.event import Event, examine, name_fault
from shared.native.refusal import Refused


class Again(NamedTuple):
    """A record for `usage.events`."""

    account_id: str | None
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


def user_of(entry: Entry) -> str | None:
    """Whom the event names."""
    user_id = entry.body.get("user_id")
    return user_id if isinstance(user_id, str) else None


def verdict(entry: Entry, now_ms: int, secret_key: str, erased: Mapping[str, str]) -> Again | str:
    """What to send, or why nothing. `erased`: when those who were erased were.

    The bytes are the original ones, but for two things: an event that came over HTTP has its
    source from the write key, and keeps it; one that was here before its user was erased is of
    nobody.
    """
    if why := _lost(entry):
        return why
    value = entry.value or b""
    headers = [(REPLAYED_HEADER, entry.position.encode())]
    if (entry.key or b"").startswith(RESERVED_PREFIX.encode()):
        if not is_signed(value, entry.signature, secret_key):
            return "is not signed with our key"
        return Again(None, entry.key, value, [(SIGNATURE_HEADER, entry.signature or b""), *headers])
    try:
        event = examine(value, now_ms, entry.source)
    except Refused as refused:
        return f"would be refused again: {refused.reason}"
    return _as_sent(entry, event, erased, headers)


def _as_sent(
    entry: Entry, event: Event, erased: Mapping[str, str], headers: list[tuple[str, bytes]]
) -> Again | str:
    value, changes = entry.value or b"", dict[str, str | None]()
    if name_fault(entry.body.get("source")):
        changes["source"] = entry.source
    if _was_erased(entry, event, erased):
        if event.account_id is UNSET:
            return "is of an erased user, and names no account"
        changes["user_id"] = None
    if changes:
        value = encode({**entry.body, **changes})
    account_id = None if event.account_id is UNSET else event.account_id
    return Again(account_id, entry.key or (account_id or "").encode() or None, value, headers)


def _lost(entry: Entry) -> str | None:
    if entry.is_repeat:
        return "was sent again before, and is sent from its first refusal"
    if entry.reason == CORRUPT:
        return "is a batch that nobody can read"
    if entry.kept_in == "alerts":
        return "is a health record: scoring sends the account's next one"
    if entry.value is None:
        return "has no value"
    return "was cut when it was refused" if entry.is_cut else None


def _was_erased(entry: Entry, event: Event, erased: Mapping[str, str]) -> bool:
    """Whether the user was erased after the event had come, or after what it tells of."""
    if event.user_id is UNSET or event.user_id not in erased:
        return False
    came_at = entry.at or entry.body.get("received_at")
    known = [event.time, came_at] if isinstance(came_at, str) else [event.time]
    return min(known) <= erased[event.user_id]
