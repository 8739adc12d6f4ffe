"""Instants on the wire: RFC 3339 in UTC with milliseconds, and milliseconds since 1970. Pure."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def time_ms(text: str) -> int:
    """Milliseconds since 1970 of `2026-11-22T03:04:06.000Z`. Raises ValueError."""
    return datetime_ms(datetime.fromisoformat(text))


def datetime_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of a datetime with a time zone, rounded down."""
    return (moment - _EPOCH) // _MS


def iso_time(instant_ms: int) -> str:
    """An instant as RFC 3339 UTC with milliseconds."""
    moment = _EPOCH + instant_ms * _MS
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
