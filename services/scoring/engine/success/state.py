"""What is kept of each account for customer success, beside its facts."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.events import AccountSignal

SmallArray = NDArray[np.int32]
CodeArray = NDArray[np.int64]

NEVER = -1
UNPUBLISHED = -1
CHANGED = -2
"""The code of an onboarding that was published under another configuration: not to be compared."""


class Told(NamedTuple):
    """A signal that arose: whose it is, and its kind."""

    account: int
    kind: str


def _nothing(size: int, *more: int) -> SmallArray:
    return np.full((size, *more), NEVER, np.int32)


@dataclass
class Success:
    """Of each account: what was published of it, its onboarding, and its signals.

    All days are numbers of days, NEVER for none; arrays have room to grow, as those of accounts.
    """

    matrix: SmallArray = field(default_factory=lambda: _nothing(16))
    """[account] the matrix code that was published last."""
    onboarding: CodeArray = field(default_factory=lambda: np.full(16, UNPUBLISHED, np.int64))
    """[account] the onboarding code that was published last."""
    start_days: SmallArray = field(default_factory=lambda: _nothing(16))
    """[account] the profile's `onboarding_started_on`."""
    outcomes: NDArray[np.int8] = field(default_factory=lambda: np.zeros((16, 0), np.int8))
    """[account, milestone] what its newest event said: NOTHING, DONE or FAILED."""
    outcome_days: SmallArray = field(default_factory=lambda: _nothing(16, 0))
    """[account, milestone] the day of that event."""
    reached_days: SmallArray = field(default_factory=lambda: _nothing(16, 0))
    """[account, milestone] the first day at whose close its metric had the value."""
    reached_since: SmallArray = field(default_factory=lambda: _nothing(16))
    """[account] the start day for which `reached_days` hold."""
    burst_days: SmallArray = field(default_factory=lambda: _nothing(16))
    """[account] the day of the last burst of tickets that was told."""
    pending: dict[int, list[AccountSignal]] = field(default_factory=dict)
    """By account: the signals that its next record tells."""
    told: dict[int, dict[str, Told]] = field(default_factory=dict)
    """By the day of its time and its id: each signal that arose, so that none does twice."""


@dataclass
class SuccessEffects:
    """What a step changed of it; values are read off the state."""

    published: set[int] = field(default_factory=set)  # accounts whose published codes changed
    reached: set[int] = field(default_factory=set)  # accounts whose reached days changed
    signals: set[tuple[int, str]] = field(default_factory=set)  # (day, id) of those that changed
    records: list[tuple[int, int, int, bytes]] = field(default_factory=list)
    """(account, sequence, day, record) of the records that tell signals."""
    erased: list[str] = field(default_factory=list)
    """Users whom no record of before this step names any more."""
