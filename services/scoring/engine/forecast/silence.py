"""What some accounts' metrics are made of on the days to come, if nothing happens any more.

A table is laid out when a metric first asks for it; then it is looked up for any account and day.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.scoring.engine.active_days import fading_count, rhythmic, since_last
from services.scoring.engine.days import any_bit, count_bits, newest_ages, period_bits
from services.scoring.engine.forecast.ranks import ranks_ahead
from services.scoring.engine.measure import profile_number, unexpired
from services.scoring.engine.numbers import MILLIONTHS
from services.scoring.engine.plan import Column, Window
from services.scoring.engine.silence import silence_risk
from services.scoring.engine.state import ActiveDays, DaySets, Latest, OpenKeys, State
from services.scoring.engine.success.onboarding import Standing, reached_days, standing_on
from services.scoring.engine.success.state import NEVER, SmallArray
from services.scoring.engine.sums import DaySums
from services.scoring.engine.table import FloatArray, HashArray, IntArray
from services.scoring.engine.users.state import UserDays
from shared.configuration import HORIZON_DAYS

AHEAD_DAYS = 120
"""So many closes are looked ahead; then no window has anything of what is known now."""

_AGES = HORIZON_DAYS + 1


class Silence:
    """Some accounts, ascending, and what is known of the days up to the running one."""

    def __init__(self, state: State, accounts: IntArray) -> None:
        self.state, self.accounts = state, accounts
        self.tables: dict[tuple[str, int], Any] = {}
        self.reached: SmallArray = reached_days(state, accounts)
        """[row, milestone]: the days at whose closes metrics reach, or will have reached, it."""

    def table(self, of: str, number: int, lay_out: Callable[[int], Any]) -> Any:
        """A table of a signal or a window, laid out once."""
        if (of, number) not in self.tables:
            self.tables[of, number] = lay_out(number)
        return self.tables[of, number]

    def sums_until(self, signal: int) -> IntArray:
        """[n, row]: the sum of the first n days of the horizon; the running day is the last."""
        kept, day = self.state.signals[signal], self.state.day
        assert isinstance(kept, DaySums)
        sums = np.zeros((_AGES + 1, len(self.accounts)), np.int64)
        for each in (*kept.closed, day):
            sums[each - day + _AGES] = kept.at(each, day, self.accounts)
        until: IntArray = np.cumsum(sums, axis=0)
        return until

    def things_by_age(self, signal: int) -> NDArray[np.int64]:
        """[row, age]: how many things have their newest day at most so many days ago."""
        low, high, rows = self.things(signal)
        ages = newest_ages(low, high, self.state.day)
        inside = ages < _AGES
        places = rows[inside] * _AGES + ages[inside]
        counts = np.bincount(places, minlength=len(self.accounts) * _AGES)
        return np.cumsum(counts.reshape(-1, _AGES), axis=1)

    def things_between(self, number: int) -> IntArray:
        """[days ahead, row]: how many things have a day inside a window."""
        assert self.state.plan is not None
        window = self.state.plan.windows[number]
        low, high, rows = self.things(window.signal)
        words = zip(*bits_ahead(window.first, window.last, self.state.day), strict=True)
        found = [
            np.bincount(rows[any_bit(low, high, bits)], minlength=len(self.accounts))
            for bits in words
        ]
        return np.stack(found)

    def things(self, signal: int) -> tuple[HashArray, HashArray, IntArray]:
        """The (low, high) words of the accounts' things, and each one's row."""
        kept = self.state.signals[signal]
        if isinstance(kept, UserDays):
            things, rows = self.users
            return kept.low[things], kept.high[things], rows
        assert isinstance(kept, DaySets)
        things, rows = kept.by_owner.of(kept.owners, kept.things.count, self.accounts)
        return kept.low[things], kept.high[things], rows

    def fading(self, signal: int) -> FloatArray:
        """[row]: the fading count of active days, which silence leaves as it is."""
        kept = self.state.signals[signal]
        assert isinstance(kept, ActiveDays)
        return fading_count(kept, self.accounts, self.state.day)

    @cached_property
    def users(self) -> tuple[IntArray, IntArray]:
        """The accounts' users, and each one's row."""
        users = self.state.users
        return users.by_owner.of(users.owners, users.count, self.accounts)

    @cached_property
    def ranked(self) -> FloatArray:
        """[days ahead, row, rank]: how many users have it or a better one; NaN is unknown."""
        return ranks_ahead(self.state, *self.users, len(self.accounts), AHEAD_DAYS)


@lru_cache(maxsize=256)
def bits_ahead(first: int, last: int, running_day: int) -> tuple[HashArray, HashArray]:
    """[days ahead]: the (low, high) words of a window's days up to the running one."""
    found = np.zeros((2, AHEAD_DAYS + 1), np.uint64)
    for ahead in range(AHEAD_DAYS + 1):
        begin, end = running_day + ahead - first, running_day + min(0, ahead - last)
        if begin <= end:
            found[:, ahead] = period_bits(begin, end)
    return found[0], found[1]


@dataclass(frozen=True)
class Ahead:
    """Accounts of a silence, each so many days ahead of the running one. As `Readings`."""

    silence: Silence
    rows: IntArray
    ahead: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def accounts(self) -> IntArray:
        """The number of each account."""
        return self.silence.accounts[self.rows]

    @property
    def days(self) -> IntArray:
        """The day that runs, of each."""
        return self.silence.state.day + self.ahead

    def in_window(self, number: int) -> FloatArray:
        """Counts, sums or numbers of things in a window."""
        state = self.silence.state
        assert state.plan is not None
        window = state.plan.windows[number]
        values = self._in_window(number, window)
        values[self.days - window.first < state.signals[window.signal].since_day] = np.nan
        return values

    def _in_window(self, number: int, window: Window) -> FloatArray:
        silence, rows, ahead = self.silence, self.rows, self.ahead
        kept = silence.state.signals[window.signal]
        if isinstance(kept, DaySums):
            return self._sum(window)
        if isinstance(kept, ActiveDays):
            low, high = bits_ahead(window.first, window.last, silence.state.day)
            own = self.accounts
            days = count_bits(kept.low[own] & low[ahead], kept.high[own] & high[ahead])
            return days.astype(np.float64)
        if window.last:
            between: IntArray = silence.table("between", number, silence.things_between)
            return between[ahead, rows].astype(np.float64)
        by_age: IntArray = silence.table("ages", window.signal, silence.things_by_age)
        oldest = window.first - ahead
        counts: FloatArray = np.where(oldest < 0, 0.0, by_age[rows, np.maximum(oldest, 0)])
        return counts

    def _sum(self, window: Window) -> FloatArray:
        plan = self.silence.state.plan
        assert plan is not None
        until: IntArray = self.silence.table("sums", window.signal, self.silence.sums_until)
        end = _AGES + np.minimum(self.ahead - window.last, 0)
        begin = np.minimum(HORIZON_DAYS + self.ahead - window.first, end)
        total: IntArray = until[end, self.rows] - until[begin, self.rows]
        is_count = plan.signals[window.signal].property is None
        return total.astype(np.float64) if is_count else total / MILLIONTHS

    def without_window(self, column: Column) -> FloatArray:
        """The value of a metric that has no window."""
        silence = self.silence
        if column.kind == "ranked_users":
            ranked: FloatArray = silence.ranked[self.ahead, self.rows, column.lowest]
            return ranked
        if column.kind == "onboarding":
            return self.standing().scores
        kept = silence.state.signals[column.signal]
        if isinstance(kept, OpenKeys):
            return kept.counts[self.accounts].astype(np.float64)
        if isinstance(kept, Latest):
            return unexpired(kept, column, self.accounts, self.days)
        assert isinstance(kept, ActiveDays)
        if column.kind == "silence_risk":
            return self._risk(kept, column)
        return since_last(kept, self.accounts, self.days)

    def _risk(self, kept: ActiveDays, column: Column) -> FloatArray:
        counts = self.silence.table("fading", column.signal, self.silence.fading)[self.rows]
        silent_days = np.maximum(1, self.days - kept.last[self.accounts]).astype(np.float64)
        known = rhythmic(kept, self.accounts, self.days)
        risks: FloatArray = np.full(len(self), np.nan)
        risks[known] = silence_risk(counts[known], silent_days[known], column.horizon_days)
        return risks

    def profile_number(self, field: str) -> FloatArray:
        """A field of the profiles as a number."""
        return profile_number(self.silence.state, field, self.accounts)

    def standing(self) -> Standing:
        """How the onboardings stand."""
        reached = self.silence.reached[self.rows]
        reached = np.where(reached < self.days[:, None], reached, NEVER)
        return standing_on(self.silence.state, self.accounts, self.days, reached)

    def take(self, places: IntArray) -> "Ahead":
        """Some of them."""
        return Ahead(self.silence, self.rows[places], self.ahead[places])
