"""RFC 3339 as others write it, as Myaku writes it: UTC, milliseconds, 24 characters."""

import re

from shared.times import iso_time, time_ms

_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_SECOND_MS = 1_000


def normal_time(text: str) -> str:
    """The instant as it stands on the wire. Raises ValueError.

    What is below a millisecond is cut off; a leap second is the second after it.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError("it is not RFC 3339 with an offset")
    day, minute, second, fraction, offset = match.groups()
    leap_ms, second = (_SECOND_MS, "59") if second == "60" else (0, second)
    ms = (fraction or "")[:3].ljust(3, "0")
    zone = "+00:00" if offset in "Zz" else offset
    try:
        return iso_time(time_ms(f"{day}T{minute}:{second}.{ms}{zone}") + leap_ms)
    except OverflowError:
        raise ValueError("in UTC it is outside the years 1 to 9999") from None
