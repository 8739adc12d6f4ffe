"""The ranks of users on the days to come, close by close, if nothing happens any more."""

import numpy as np

from services.scoring.engine.days import turned_bits
from services.scoring.engine.state import State
from services.scoring.engine.table import FloatArray, IntArray
from services.scoring.engine.users.ranks import settled, standing
from services.scoring.engine.users.state import NO_RANK, UserDays
from shared.configuration import HORIZON_DAYS, RANKS


def ranks_ahead(
    state: State, users: IntArray, rows: IntArray, accounts: int, ahead_days: int
) -> FloatArray:
    """[days ahead, account, rank]: how many users have it or a better one; NaN is unknown.

    `rows` is [user], the row of the user's account.
    """
    assert state.plan is not None
    plan = state.plan.engagement
    found = np.full((ahead_days + 1, accounts, len(RANKS)), np.nan)
    if plan is None:
        return found
    usage, known = plan.earning[0], state.users.ranked
    ranks = state.users.ranks[users].astype(np.int64)
    last = state.users.settling[users].astype(np.int64)
    seen = state.users.last_days[users]
    for ahead in range(1, ahead_days + 1):
        day = state.day + ahead
        if day - usage.window_days >= state.signals[usage.signal].since_day:
            known = True
            low, high = turned_bits(state.day, day)
            days = []
            for term in plan.earning:
                kept = state.signals[term.signal]
                assert isinstance(kept, UserDays)
                days.append((kept.low[users] & low, kept.high[users] & high))
            silent = seen < day - HORIZON_DAYS
            ranks, last = settled(ranks, last, standing(plan, days, day).ranks, silent)
        if known:
            ranked = ranks != NO_RANK
            places = rows[ranked] * len(RANKS) + ranks[ranked]
            counts = np.bincount(places, minlength=accounts * len(RANKS))
            found[ahead] = np.cumsum(counts.reshape(accounts, len(RANKS)), axis=1)
    return found
