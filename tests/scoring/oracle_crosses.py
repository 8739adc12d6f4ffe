"""The oracle's forecast: the days are closed one after the other, and nothing happens."""

import copy
from datetime import date, timedelta
from typing import Any

from tests.scoring.oracle_acts import in_force
from tests.scoring.oracle_metrics import Rules, day_begin
from tests.scoring.oracle_score import Evaluation
from tests.scoring.oracle_success import latch, zone_of
from tests.scoring.oracle_users import close_ranks, has_ranks, usage_is_known

LOOKED_AHEAD = 120


def crosses(rules: Rules, account: Any, new: Evaluation, r: int) -> dict[str, Any] | None:
    """Into which lower band the account falls by silence, and on which day."""
    limits = rules.document["scorecards"]["bands"]
    if new.band is None or limits[new.band] == min(limits.values()) or account.stale:
        return None
    alone = without_past(account)
    for d in range(r, r + LOOKED_AHEAD):
        if has_ranks(rules) and usage_is_known(rules, d + 1):
            list(close_ranks(rules, alone, d + 1))
            alone.ranks_known = True
        latch(rules, alone, d)
        override = in_force(alone, day_begin(zone_of(rules), d + 1))
        band = rules.evaluate(alone, d + 1, override).band
        if band is not None and limits[band] < limits[new.band]:
            on = date(1970, 1, 1) + timedelta(days=d)
            return {"band": band, "on": on.isoformat(), "if": "silent"}
    return None


def without_past(account: Any) -> Any:
    """A copy of the account of which ranks and milestones may be changed."""
    alone = copy.copy(account)
    alone.users = copy.deepcopy(account.users)
    alone.reached = dict(account.reached)
    return alone


def has_passed(account: Any, r: int) -> bool:
    """Whether the day that the last record names is before day r."""
    foreseen = account.health.get("crosses")
    if foreseen is None:
        return False
    return (date.fromisoformat(foreseen["on"]) - date(1970, 1, 1)).days < r
