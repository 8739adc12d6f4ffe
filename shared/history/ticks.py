"""The time of a history: a tick at each midnight between its lines, and at the end. Pure."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from shared.events import SOURCES_MAX, USAGE_EVENTS, Tick
from shared.history.lines import NO_TIME, Line, head
from shared.times import iso_time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_DAY = timedelta(days=1)


def with_ticks(
    lines: Iterable[Line], zone: ZoneInfo, source_partitions: int
) -> Iterator[Line | Tick]:
    """The lines (by time), with a tick at the midnight before the first, at each midnight that
    passes, also where nothing happened for long, and at the time of the last."""
    newest_ms: dict[str, int] = {}

    def tick(time_ms: int) -> Tick:
        sources = {source: iso_time(newest) for source, newest in newest_ms.items()}
        return Tick(0, source_partitions, iso_time(time_ms), "history", sources)

    last_ms = NO_TIME
    for line in lines:
        if line.time_ms != NO_TIME:
            if last_ms == NO_TIME:
                coming = midnights(zone, line.time_ms)
                due_ms = next(coming)
            while due_ms <= line.time_ms:
                yield tick(due_ms)
                due_ms = next(coming)
            last_ms = line.time_ms
            _note(line, newest_ms)
        yield line
    if last_ms != NO_TIME:
        yield tick(last_ms)


def _note(line: Line, newest_ms: dict[str, int]) -> None:
    known = head(line.value)
    if known is None:
        return
    source = known.source if isinstance(known.source, str) and known.source else USAGE_EVENTS
    if source in newest_ms or len(newest_ms) < SOURCES_MAX:
        newest_ms[source] = line.time_ms


def midnights(zone: ZoneInfo, first_ms: int) -> Iterator[int]:
    """When the day of `first_ms` begins, and each day after it, as docs/scoring.md defines days."""
    local = datetime.fromtimestamp(first_ms // 1000, zone)
    midnight = datetime.combine(local.date() - _DAY, time(), zone)
    begins_ms = _instant_ms(midnight)
    while True:
        midnight += _DAY
        next_ms = max(begins_ms, _instant_ms(midnight))
        if next_ms > max(first_ms, begins_ms):
            yield begins_ms
        begins_ms = next_ms


def _instant_ms(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // _MS
