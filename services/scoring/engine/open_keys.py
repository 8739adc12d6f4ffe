"""Keys that events open and others close, as tickets: the newest event of a key decides."""

from services.scoring.engine.effects import Effects
from services.scoring.engine.facts import put
from services.scoring.engine.state import Fact, OpenKeys, State
from shared.configuration import HORIZON_DAYS

OPEN = "open."


def fact_name(kept: OpenKeys, key: bytes) -> str:
    """Under which name of the account's facts a key stands."""
    return f"{OPEN}{kept.signal_no}.{key.decode()}"


def fold_key(
    state: State, kept: OpenKeys, account: int, name: str, fact: Fact, effects: Effects
) -> None:
    """Open or close a key, if nothing newer is known of it. The fact's value: whether it opens."""
    before = state.accounts.facts[account].get(name)
    if not put(state, account, name, fact, effects):
        return
    kept.counts[account] += int(fact.value) - int(before is not None and before.value)
    if not fact.value:
        assert state.plan is not None
        day = state.plan.calendar.day_of(fact.time_ms)
        kept.closed.setdefault(day, []).append((account, name))


def forget_closed(state: State, kept: OpenKeys, effects: Effects) -> None:
    """Forget keys whose closing left the horizon: what could open them again is too old too.

    Not while the kept log may still tell of their opening.
    """
    if kept.signal_no in state.unread:
        return
    for day in [day for day in kept.closed if day < state.day - HORIZON_DAYS]:
        for account, name in kept.closed.pop(day):
            fact = state.accounts.facts[account].get(name)
            assert state.plan is not None
            if fact and not fact.value and state.plan.calendar.day_of(fact.time_ms) == day:
                del state.accounts.facts[account][name]
                effects.facts.add((account, name))


def remember_keys(state: State, kept: OpenKeys) -> None:
    """Bring what is derived of the facts up to date: counts, and the days of closings."""
    assert state.plan is not None
    prefix = f"{OPEN}{kept.signal_no}."
    for account, facts in enumerate(state.accounts.facts):
        for name, fact in facts.items():
            if name.startswith(prefix):
                if fact.value:
                    kept.counts[account] += 1
                else:
                    day = state.plan.calendar.day_of(fact.time_ms)
                    kept.closed.setdefault(day, []).append((account, name))
