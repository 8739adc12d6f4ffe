"""Bytes as JSON: strict, but for the numbers and characters that JSON cannot carry."""

import json
import re
from typing import Any

import msgspec

from shared.native.refusal import Refused

DIGITS_MAX = 4_300
"""Of an integer: what is longer is, like Infinity, no number that anyone can read."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_decode_any = msgspec.json.Decoder().decode


def decode(value: bytes | None) -> dict[str, Any]:
    """The object that the bytes hold; of equal keys the last wins. Raises Refused.

    NaN and ±Infinity are null, lone surrogates U+FFFD.
    """
    if value is None:
        raise Refused("undecodable", "The record has no value.")
    try:
        return _decode_object(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        decoded = _decode_leniently(value)
    if not isinstance(decoded, dict):
        raise Refused("undecodable", "The value is JSON, but not an object.")
    return decoded


def decode_any(value: bytes) -> Any:
    """The JSON text that the bytes hold, whatever it is; otherwise as `decode`."""
    try:
        return _decode_any(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_leniently(value)


def _decode_leniently(value: bytes) -> Any:
    """What the fast decoder refuses, read once more: it may be one of the things we replace."""
    try:
        decoded = json.loads(
            value.decode(), parse_constant=_nothing, parse_float=_float, parse_int=_integer
        )
        return _replace_surrogates(decoded)
    except UnicodeDecodeError as error:
        raise Refused("undecodable", f"The value is not UTF-8: {error.reason}.") from None
    except json.JSONDecodeError as error:
        raise Refused("undecodable", f"The value is not JSON: {error}.") from None
    except RecursionError:
        if value.lstrip().startswith(b"{"):
            raise Refused("bad_properties", "The event is nested too deep.") from None
        raise Refused("undecodable", "The value is nested too deep to be read.") from None


def _nothing(_: str) -> None:
    return None


def _float(text: str) -> float | None:
    number = float(text)
    return number if abs(number) != float("inf") else None


def _integer(text: str) -> int | None:
    return int(text) if len(text) <= DIGITS_MAX else None


def _replace_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_replace_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_replace_surrogates(key): _replace_surrogates(one) for key, one in value.items()}
    return value
