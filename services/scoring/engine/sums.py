"""Day sums: one number per account and day, counts or sums in millionths.

The running day is as wide as a sum can be; a closed one takes the fewest bytes that hold it. What a
window has of closed days is kept added up, and moves when a day is closed or somebody is late.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.engine.numbers import MILLIONTHS
from services.scoring.engine.plan import Window
from services.scoring.engine.table import IntArray, distinct
from shared.configuration import HORIZON_DAYS

DAY_SUM_MAX = 70_000_000_000 * MILLIONTHS
"""The absolute value at which a day's sum stops: those of all days of a window fit into 64 bits."""

assert DAY_SUM_MAX * (HORIZON_DAYS + 1) < 2**63

_WIDTHS = (np.int8, np.int16, np.int32, np.int64)


class DayColumn(NamedTuple):
    """The sums of one closed day: `values × unit`; accounts behind the end have none."""

    values: NDArray[Any]  # [account], the narrowest integers that hold them
    unit: int


def packed(sums: IntArray) -> DayColumn:
    """Sums in as few bytes as they need."""
    unit = MILLIONTHS if not (sums % MILLIONTHS).any() else 1
    values = sums // unit
    least, most = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    width = next(width for width in _WIDTHS if _holds(width, least, most))
    return DayColumn(values.astype(width), unit)


def _holds(width: Any, least: int, most: int) -> bool:
    limits = np.iinfo(width)
    return bool(limits.min <= least and most <= limits.max)


@dataclass
class DaySums:
    """The day sums of a signal."""

    signal_no: int
    since_day: int
    running: IntArray  # [account], of the running day
    closed: dict[int, DayColumn] = field(default_factory=dict)
    """By day, those inside the horizon that have any."""
    totals: dict[int, IntArray] = field(default_factory=dict)
    """Number of a window → [account], the sum of its closed days."""

    def at(self, day: int, running_day: int, accounts: IntArray) -> IntArray:
        """The sums of a day. [account]"""
        if day == running_day:
            return self.running[accounts]
        sums = np.zeros(len(accounts), np.int64)
        if column := self.closed.get(day):
            inside = accounts < len(column.values)
            sums[inside] = column.values[accounts[inside]]
            sums *= column.unit
        return sums

    def add(
        self,
        day: int,
        running_day: int,
        accounts: IntArray,
        amounts: IntArray | int,
        windows: tuple[Window, ...],
    ) -> None:
        """Add amounts to the sums of a day, each as far as there is room for it in its turn.

        Accounts may come more than once.
        """
        if not isinstance(amounts, int):
            amounts = self._fitting(day, running_day, accounts, amounts)
        if day == running_day:
            np.add.at(self.running, accounts, amounts)
            return
        for number, total in self.totals.items():
            if windows[number].has(day, running_day):
                np.add.at(total, accounts, amounts)
        self._add_late(day, running_day, accounts, amounts)

    def _fitting(
        self, day: int, running_day: int, accounts: IntArray, amounts: IntArray
    ) -> IntArray:
        """What each of the amounts adds to its sum, which stops at ±DAY_SUM_MAX."""
        sums = self.at(day, running_day, accounts)
        most = np.abs(amounts).sum(dtype=np.float64) + float(np.abs(sums).max())
        if most < 0.999 * DAY_SUM_MAX:  # beyond what additions of doubles may lose
            return amounts
        now = dict(zip(accounts.tolist(), sums.tolist(), strict=True))
        fitting = []
        for account, amount in zip(accounts.tolist(), amounts.tolist(), strict=True):
            before = now[account]
            now[account] = min(max(before + amount, -DAY_SUM_MAX), DAY_SUM_MAX)
            fitting.append(now[account] - before)
        return np.array(fitting)

    def _add_late(
        self, day: int, running_day: int, accounts: IntArray, amounts: IntArray | int
    ) -> None:
        column = self.closed.get(day)
        touched = distinct(accounts)
        sums = self.at(day, running_day, touched)
        np.add.at(sums, np.searchsorted(touched, accounts), amounts)
        size = int(touched[-1]) + 1
        if column and size <= len(column.values) and not (sums % column.unit).any():
            values = sums // column.unit
            if _holds(column.values.dtype, int(values.min()), int(values.max())):
                column.values[touched] = values
                return
        whole = np.arange(max(size, len(column.values) if column else 0))
        wide = self.at(day, running_day, whole)
        wide[touched] = sums
        self.closed[day] = packed(wide)

    def fill(self, day: int, running_day: int, accounts: IntArray, sums: IntArray) -> None:
        """Set the sums of a day that has none yet; each account once."""
        if day == running_day:
            self.running[accounts] = sums
        else:
            wide = np.zeros(int(accounts.max()) + 1, np.int64)
            wide[accounts] = sums
            self.closed[day] = packed(wide)

    def turn(self, day: int, accounts: int, windows: tuple[Window, ...]) -> None:
        """Close the running day: `day` runs now, nothing has happened on it yet."""
        running = self.running[:accounts]
        if running.any():
            self.closed[day - 1] = packed(running)
        self.running[:] = 0
        for number, total in self.totals.items():
            window = windows[number]
            _add(total, self.closed.get(day - max(window.last, 1)), 1)
            _add(total, self.closed.get(day - window.first - 1), -1)
        self.closed.pop(day - HORIZON_DAYS - 1, None)

    def recount(
        self, running_day: int, numbers: Iterable[int], windows: tuple[Window, ...]
    ) -> None:
        """Add the totals of these windows up anew."""
        self.totals = {number: np.zeros(len(self.running), np.int64) for number in numbers}
        for day, column in self.closed.items():
            for number, total in self.totals.items():
                if windows[number].has(day, running_day):
                    _add(total, column, 1)


def _add(total: IntArray, column: DayColumn | None, sign: int) -> None:
    if column is not None:
        total[: len(column.values)] += column.values * np.int64(sign * column.unit)
