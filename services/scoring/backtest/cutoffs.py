"""On which days a history is cut into what was known and what followed. Pure.

Days are numbered from 1970-01-01, as in the engine. docs/truth.md defines the choice.
"""

from dataclasses import dataclass
from datetime import timedelta

from services.scoring.engine.calendar import EPOCH

RUN_IN_DAYS = 365
DAYS_A_MONTH = 30.4
MONTHS_A_YEAR = 12


@dataclass(frozen=True)
class Cutoff:
    """What was known before day `day` is held against the days `day … until − 1`.

    The first quarter of a history's cut-offs are not tested: whoever compares a score with
    something that learns from the past has them to learn from.
    """

    day: int
    until: int
    is_test: bool


def cutoffs(first_day: int, last_day: int, horizon_days: int) -> list[Cutoff]:
    """The first days of calendar periods about as long as the horizon; with 90 days, quarters.

    The first lies a year after the first event, or a quarter of the history where that is less;
    the last has its whole horizon before the day of the last event.
    """
    months = min(MONTHS_A_YEAR, max(1, round(horizon_days / DAYS_A_MONTH)))
    run_in = min(RUN_IN_DAYS, (last_day - first_day) // 4)
    days = [
        day
        for day in range(first_day + run_in, last_day - horizon_days + 1)
        if _begins_period(day, months)
    ]
    return [
        Cutoff(day, day + horizon_days, number >= len(days) // 4) for number, day in enumerate(days)
    ]


def _begins_period(day: int, months: int) -> bool:
    date = EPOCH + timedelta(days=day)
    return date.day == 1 and (date.year * MONTHS_A_YEAR + date.month - 1) % months == 0
