"""Overrides: a score that a person set, until its end; a fact as any other, the newest wins."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from services.scoring.engine.decode import times_ms
from services.scoring.engine.published import Override
from services.scoring.engine.state import State
from shared.events import ACT_CHARACTERS_MAX

OVERRIDE = "override"
"""The name of the fact."""

_Text = Annotated[str, msgspec.Meta(max_length=ACT_CHARACTERS_MAX)]


class _Properties(msgspec.Struct):
    """What an `account.overridden` says; a score of null ends what stands."""

    score: Annotated[float, msgspec.Meta(ge=0, le=100)] | None
    author: _Text = ""
    reason: _Text = ""
    expires_at: str = ""


def readable(properties: Mapping[str, Any]) -> bool:
    """Whether the properties say how the score is overridden, or that it no longer is."""
    try:
        _override(properties)
    except (msgspec.ValidationError, ValueError):
        return False
    return True


def _override(value: Any) -> Override | None:
    given = msgspec.convert(value, _Properties)
    if given.score is None:
        return None
    expires_ms = int(times_ms([given.expires_at])[0])
    return Override(int(given.score * 10 + 0.5), given.author, given.reason, expires_ms)


def refresh_override(state: State, account: int) -> None:
    """Let the newest override be in force, if it has not ended."""
    fact = state.accounts.facts[account].get(OVERRIDE)
    override = _override(fact.value) if fact and fact.value else None
    state.accounts.overrides.pop(account, None)
    if override is not None and override.expires_ms > (state.clock.now_ms or 0):
        state.accounts.overrides[account] = override


def end_overrides(state: State) -> None:
    """End what has expired by now; its accounts are to be evaluated again."""
    accounts, now_ms = state.accounts, state.clock.now_ms or 0
    expired = [
        account for account, override in accounts.overrides.items() if override.expires_ms <= now_ms
    ]
    for account in expired:
        del accounts.overrides[account]
        accounts.touched[account] = True
