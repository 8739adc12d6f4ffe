"""The events in the body of a request: one object, an array of them, or one on each line."""

import json
from typing import NamedTuple

import msgspec

from shared.native.decode import decode_any
from shared.native.event import Event, examine
from shared.native.refusal import Refused

EVENTS_MAX = 10_000
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


LINES_MAX = 2 * EVENTS_MAX
"""Blank ones among them; more are not even looked at."""

COMMAS_MAX = 64 * EVENTS_MAX
"""Every value between two becomes an object in memory, many times as large as its text."""


class TooMany(Exception):
    """The body holds more events than one request may."""


class Item(NamedTuple):
    """An event as it was sent, and what it says or why it says nothing."""

    value: bytes
    body: Event | Refused


def examine_body(body: bytes, received_ms: int, source: str) -> list[Item]:
    """What a request holds, in its order. Raises Refused for what is no JSON at all, and TooMany.

    `source` is that of the write key.
    """
    values = _split(body.removeprefix(BYTE_ORDER_MARK).strip())
    if len(values) > EVENTS_MAX:
        raise TooMany
    return [_examine(value, received_ms, source) for value in values]


def _examine(value: bytes, received_ms: int, source: str) -> Item:
    try:
        return Item(value, examine(value, received_ms, source))
    except Refused as refused:
        return Item(value, refused)


def _split(body: bytes) -> list[bytes]:
    """The JSON texts of the events. Raises Refused where there is no JSON in it."""
    if not body:
        raise Refused("undecodable", "The body is empty.")
    if body.count(b",") > COMMAS_MAX:
        raise TooMany
    try:
        return _array(body) if body.startswith(b"[") else [_one(body)]
    except Refused:
        if body.count(b"\n") > LINES_MAX:
            raise TooMany from None
        lines = [line for line in map(bytes.strip, body.split(b"\n")) if line]
        if not any(map(_is_json, lines)):
            raise
        return lines


def _array(body: bytes) -> list[bytes]:
    try:
        return [bytes(raw) for raw in _decode_array(body)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # What JSON cannot carry is replaced in each event, as it is in an event by itself.
        return [json.dumps(one, ensure_ascii=False).encode() for one in decode_any(body)]


def _one(body: bytes) -> bytes:
    decode_any(body)
    return body


def _is_json(line: bytes) -> bool:
    try:
        decode_any(line)
    except Refused:
        return False
    return True
