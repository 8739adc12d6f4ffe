"""Days of the product's time zone: which day an instant belongs to, and when a day begins."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

EPOCH = date(1970, 1, 1)
DAYS = (date(2200, 1, 1) - EPOCH).days
MS = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Calendar:
    """A time zone's midnights; days are numbered from 1970-01-01, which is 0."""

    midnights_ms: IntArray  # [day], when each begins; never falls

    def days_of(self, times_ms: IntArray) -> IntArray:
        """The day of each instant."""
        if not len(times_ms):
            return np.zeros(0, np.int64)
        first, last = self.day_of(int(times_ms.min())), self.day_of(int(times_ms.max()))
        between = self.midnights_ms[first + 1 : last + 1]  # few: sought through faster than all
        return first + np.searchsorted(between, times_ms, side="right")

    def day_of(self, time_ms: int) -> int:
        """The day of one instant."""
        day = int(np.searchsorted(self.midnights_ms, time_ms, side="right")) - 1
        return min(max(day, 0), DAYS - 1)

    def refuse_other(self, before: "Calendar") -> None:
        """Raises ValueError if days that were counted by another calendar would move."""
        if not np.array_equal(before.midnights_ms, self.midnights_ms):
            raise ValueError("another time zone: days that were counted keep their midnights")

    def begins_ms(self, day: int) -> int:
        """The instant at which a day begins."""
        return int(self.midnights_ms[day])


@lru_cache(maxsize=4)
def calendar(time_zone: str) -> Calendar:
    """The calendar of an IANA time zone, from 1970 to 2199."""
    zone = ZoneInfo(time_zone)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    midnights = np.empty(DAYS, dtype=np.int64)
    midnight = datetime(1970, 1, 1, tzinfo=zone)
    for day in range(DAYS):
        midnights[day] = ((midnight + timedelta(days=day)).astimezone(UTC) - epoch) // MS
    return Calendar(np.maximum.accumulate(midnights))


def iso_day(day: int) -> str:
    """A day as `2026-01-31`."""
    return (EPOCH + timedelta(days=day)).isoformat()
