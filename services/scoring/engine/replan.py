"""A configuration taking effect: the state's arrays follow the new plan."""

import numpy as np

from services.scoring.engine.accounts import make_room
from services.scoring.engine.classes import Classes
from services.scoring.engine.effects import Effects
from services.scoring.engine.facts import LATEST, refresh_profile
from services.scoring.engine.open_keys import OPEN
from services.scoring.engine.parts import keep_parts
from services.scoring.engine.plan import Plan, Signal
from services.scoring.engine.state import (
    ALWAYS_KNOWN,
    NEVER,
    ActiveDays,
    DaySets,
    Latest,
    OpenKeys,
    SignalState,
    State,
)
from services.scoring.engine.success.key_users import settle_key_users
from services.scoring.engine.success.onboarding import follow
from services.scoring.engine.sums import DaySums
from services.scoring.engine.table import HashTable
from services.scoring.engine.users.days import lay_out_users
from services.scoring.engine.users.ranks import drop_ranks
from services.scoring.engine.users.state import UserDays
from services.scoring.engine.windows import recount


def replan(state: State, plan: Plan, effects: Effects, *, at_offset: int) -> None:
    """Put a plan into effect. What the old one kept and the new one needs stays.

    A signal that is new waits for the kept log to be read for it, up to this offset.
    """
    old = state.plan
    first = old is None or state.clock.now_ms is None
    since_day = ALWAYS_KNOWN if first else state.day
    known = {
        signal.definition: kept
        for signal, kept in zip(old.signals if old else (), state.signals, strict=True)
    }
    state.plan = plan
    state.signals = []
    for signal in plan.signals:
        kept = known.get(signal.definition)
        if kept is None:
            kept = new_signal(signal, state.next_signal_no, since_day, state.accounts.count)
            if not first:
                state.unread[state.next_signal_no] = at_offset
            state.next_signal_no += 1
        state.signals.append(kept)
    numbers = {kept.signal_no for kept in state.signals}
    state.unread = {number: at for number, at in state.unread.items() if number in numbers}
    _forget_facts(state, numbers, effects)
    follow(state, old.success.onboarding if old else None)
    _follow(state)
    keep_parts(state, old.parts if old else ())
    state.users.look_at_all = True
    if plan.engagement is None:
        drop_ranks(state, effects)
    if old is not None and old.success.signals.quiet_days != plan.success.signals.quiet_days:
        settle_key_users(state, effects)
    effects.plan_changed = True


def new_signal(signal: Signal, signal_no: int, since_day: int, count: int) -> SignalState:
    """An empty signal with room for `count` accounts."""
    size = max(16, count)
    if signal.kind == "sum":
        return DaySums(signal_no, since_day, np.zeros(size, np.int64))
    if signal.kind == "active_days":
        never, bits = np.full(size, NEVER, np.int64), np.zeros(size, np.uint64)
        faded = np.zeros(size)
        return ActiveDays(signal_no, since_day, bits, bits.copy(), never, never.copy(), faded)
    if signal.kind == "open":
        return OpenKeys(signal_no, since_day, np.zeros(size, np.int64))
    if signal.kind == "latest":
        days = np.full(size, NEVER, np.int64)
        return Latest(signal_no, since_day, np.full(size, np.nan), days)
    if signal.kind == "users":
        return UserDays(signal_no, since_day)
    words = np.zeros(16, np.uint64)
    owners = np.zeros(16, np.int64)
    return DaySets(signal_no, since_day, HashTable(), owners, words, words.copy(), {})


def _forget_facts(state: State, kept: set[int], effects: Effects) -> None:
    """Facts of `latest` and `open` signals that are no longer kept."""
    for account, facts in enumerate(state.accounts.facts):
        gone = [
            name
            for name in facts
            if name.startswith((LATEST, OPEN)) and int(name.split(".", 2)[1]) not in kept
        ]
        for name in gone:
            del facts[name]
            effects.facts.add((account, name))


def _follow(state: State) -> None:
    """Lay out what depends on the plan's order anew."""
    assert state.plan is not None
    plan, count = state.plan, state.accounts.count
    size = max(16, count)
    state.classes = Classes(plan)
    state.profile_numbers = np.full((len(plan.profile_numbers), size), np.nan)
    state.profile_matches = np.zeros((len(plan.conditions), size), bool)
    for number, kept in enumerate(state.signals):
        make_room(kept, size)
        windows = plan.windows_of(number)
        if isinstance(kept, DaySums):
            kept.recount(state.day, windows, plan.windows)
        elif isinstance(kept, DaySets):
            kept.counts = {at: np.zeros(size, np.int64) for at in windows}
            recount(state, kept)
        elif isinstance(kept, UserDays):
            lay_out_users(state, kept, windows, size)
    state.accounts.touch(slice(count))
    for account in range(count):
        refresh_profile(state, account)
