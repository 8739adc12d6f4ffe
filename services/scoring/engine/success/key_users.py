"""Key users, of rank S or SS: that one has gone quiet, and is back. Looked for at closes."""

import numpy as np

from services.scoring.engine.calendar import iso_day
from services.scoring.engine.effects import Effects
from services.scoring.engine.state import State
from services.scoring.engine.success.signals import Found, arise
from services.scoring.engine.table import IntArray
from services.scoring.engine.users.state import NOT_WATCHED
from shared.configuration import HORIZON_DAYS, RANKS

QUIET, BACK = "key_user_quiet", "key_user_back"
LEAST = RANKS.index("S")


def find_key_users(state: State, effects: Effects) -> None:
    """What a close tells of key users; the running day is the one that begins.

    A user is one as long as the rank is S or SS, and afterwards until seen without it: who falls
    silent loses the rank before it is told. Where a source of an account is stale, its users
    stay as they are.
    """
    assert state.plan is not None
    if state.plan.engagement is None:
        return
    users, used, closed = state.users, state.users.count, state.day - 1
    is_key = users.ranks[:used].view(np.uint8) <= LEAST  # NO_RANK reads 255
    looked = np.flatnonzero(is_key | (users.watches[:used] != NOT_WATCHED))
    looked = looked[~state.accounts.unheard[users.owners[looked]]]
    last, was = users.last_days[looked], users.watches[looked].astype(np.int64)
    is_silent = closed - last >= state.plan.success.signals.quiet_days
    is_told = was > NOT_WATCHED
    back = is_told & (last >= was) & ~is_silent
    stays = is_told & ~back
    lasting = np.where((last == closed) | is_told, NOT_WATCHED, was)
    key = np.where(is_key[looked], ~users.ranks[looked].astype(np.int64), lasting)
    is_gone = last < state.day - HORIZON_DAYS
    quiet = (key < NOT_WATCHED) & is_silent & ~stays & ~is_gone
    now = np.where(stays, was, np.where(quiet, last + 1, key))
    now[is_gone] = NOT_WATCHED
    users.watches[looked] = now
    effects.users.append(looked[now != was])
    _tell_quiet(state, looked[quiet], ~key[quiet], effects)
    _tell_back(state, looked[back], was[back], effects)


def _tell_quiet(state: State, users: IntArray, ranks: IntArray, effects: Effects) -> None:
    assert state.plan is not None
    after, calendar = state.plan.success.signals.quiet_days, state.plan.calendar
    last_days = state.users.last_days[users].tolist()
    for user, last, rank in zip(users.tolist(), last_days, ranks.tolist(), strict=True):
        data = {"rank": RANKS[rank], "last_active_on": iso_day(last)}
        _tell(state, user, Found(QUIET, calendar.begins_ms(last + after + 1), data), effects)


def _tell_back(state: State, users: IntArray, since: IntArray, effects: Effects) -> None:
    assert state.plan is not None
    last_days = state.users.last_days[users].tolist()
    for user, last, first in zip(users.tolist(), last_days, since.tolist(), strict=True):
        data = {"quiet_since": iso_day(first), "last_active_on": iso_day(last)}
        _tell(state, user, Found(BACK, state.plan.calendar.begins_ms(last + 1), data), effects)


def _tell(state: State, user: int, found: Found, effects: Effects) -> None:
    """Tell it of a user who has a name."""
    name = state.users.names.text(user)
    if name is not None:
        arise(state, int(state.users.owners[user]), found._replace(user=name), effects)


def settle_key_users(state: State, effects: Effects) -> None:
    """Who is quiet by the number of days that takes effect is so without being told."""
    assert state.plan is not None
    users, used = state.users, state.users.count
    watched = np.flatnonzero(users.watches[:used] < NOT_WATCHED)
    last = users.last_days[watched]
    is_silent = state.day - 1 - last >= state.plan.success.signals.quiet_days
    users.watches[watched[is_silent]] = last[is_silent] + 1
    effects.users.append(watched[is_silent])
