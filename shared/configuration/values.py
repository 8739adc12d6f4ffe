"""What the documents are made of: names, weights, durations. Pure.

What only a schema says (`extra_json_schema`) is checked in `checks.py`, with a sentence.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

HORIZON_DAYS = 120


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a document: an unknown key is an error, never ignored."""


def pattern(regex: str) -> dict[str, Any]:
    """What a schema says of a text that a check explains in words."""
    return {"pattern": regex}


DURATION = r"^\d{1,5}(s|m|h|d|w)$"
DAYS = r"^\d{1,4}d$"
PROFILE_FIELD = r"^profile\."
ADDRESS = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*$"

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$", title="a name like login_rate_28d")]
Weight = Annotated[float, Meta(gt=0)]
Points = Annotated[float, Meta(ge=0, le=100)]
Scalar = str | int | float | bool
RankName = Literal["SS", "S", "A", "B", "C", "D"]
Duration = Annotated[str, Meta(extra_json_schema=pattern(DURATION), examples=["6h", "14d"])]
Days = Annotated[str, Meta(extra_json_schema=pattern(DAYS), examples=["28d"])]
ProfileField = Annotated[
    str, Meta(extra_json_schema=pattern(PROFILE_FIELD), examples=["profile.csm"])
]

Path = tuple[str | int, ...]


class Fault(NamedTuple):
    """What is wrong, and where: the document's part, then keys and indexes."""

    path: Path
    problem: str


def under(path: Path, faults: Iterable[Fault]) -> Iterator[Fault]:
    """Faults of a part of something, as faults of the whole."""
    return (Fault((*path, *fault.path), fault.problem) for fault in faults)


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def duration_ms(text: str) -> int:
    """Milliseconds of a duration such as `6h` or `14d`. Raises ValueError with what was meant."""
    if not re.match(DURATION, text):
        raise ValueError(f"{text!r} is not a duration: write a number and s, m, h, d or w, as 24h")
    return int(text[:-1]) * _SECONDS[text[-1]] * 1000


def days(text: str | None) -> int:
    """Whole days of a duration such as `28d`; 0 for None. Raises ValueError."""
    if text is None:
        return 0
    if not re.match(DAYS, text):
        raise ValueError(f"{text!r} is not a number of days: write it as 28d")
    return int(text[:-1])


def is_address(text: str) -> bool:
    """Whether a text is an e-mail address, of the plain kind that every mail server takes."""
    return len(text) <= 254 and re.fullmatch(ADDRESS, text) is not None
