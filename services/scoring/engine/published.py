"""What was last published of each account, as far as the next publication needs it."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.engine.table import BoolArray, IntArray, grown

PartArray = NDArray[np.int32]
ShareArray = NDArray[np.int16]

NO_CROSSING = -1


class Override(NamedTuple):
    """A score that a person set instead of the computed one, until `expires_ms`."""

    score_tenths: int
    author: str
    reason: str
    expires_ms: int


class Heading(NamedTuple):
    """By what an account was scored, and the band that it fell into."""

    scorecard: str
    revision: str
    band: str | None


def no_parts() -> PartArray:
    """Room for the parts of scores before there is a configuration."""
    return np.zeros((0, 16), np.int32)


def _zeros() -> IntArray:
    return np.zeros(16, np.int64)


NUMBERS = {
    "sequences": 0,
    "as_of_ms": 0,
    "tenths": 0,
    "computed": 0,
    "coverage": 0,
    "headings": 0,
    "crossing_days": NO_CROSSING,
    "crossing_bands": NO_CROSSING,
}
"""The whole numbers that are kept of each account, and what stands there of nobody."""


@dataclass
class Published:
    """Of each account, by its number; a `sequence` of 0 is that of one never published."""

    sequences: IntArray = field(default_factory=_zeros)
    as_of_ms: IntArray = field(default_factory=_zeros)
    tenths: IntArray = field(default_factory=_zeros)  # as shown: an override's where there is one
    computed: IntArray = field(default_factory=_zeros)  # tenths without override; also BUILDING
    coverage: IntArray = field(default_factory=_zeros)  # hundredths
    headings: IntArray = field(default_factory=_zeros)  # numbers of the list below
    crossing_days: IntArray = field(default_factory=lambda: np.full(16, NO_CROSSING))
    """The close at which it enters a lower band if it stays silent; NO_CROSSING without one."""
    crossing_bands: IntArray = field(default_factory=lambda: np.full(16, NO_CROSSING))
    """Number in Plan.bands of that band."""
    stale: BoolArray = field(default_factory=lambda: np.zeros(16, bool))
    shares: ShareArray = field(default_factory=lambda: np.zeros((0, 16), np.int16))
    """[part, account]: contributions in hundredths of a point."""
    gone: dict[int, dict[str, int]] = field(default_factory=dict)
    """By account: contributions by names that are no parts of the plan any more."""
    overrides: dict[int, Override] = field(default_factory=dict)  # by account
    profiles: list[dict[str, Any] | None] = field(default_factory=list)
    known_headings: list[Heading] = field(default_factory=list)
    heading_numbers: dict[Heading, int] = field(default_factory=dict)

    def heading(self, account: int) -> Heading:
        """The heading of an account's last publication, which it has."""
        return self.known_headings[int(self.headings[account])]

    def heading_number(self, heading: Heading) -> int:
        """The number of a heading, which may be new."""
        number = self.heading_numbers.setdefault(heading, len(self.known_headings))
        if number == len(self.known_headings):
            self.known_headings.append(heading)
        return number

    def make_room(self, size: int) -> None:
        """Let the arrays hold `size` accounts, and the list of profiles have as many."""
        for name, fill in {**NUMBERS, "stale": False}.items():
            setattr(self, name, grown(getattr(self, name), size, fill))
        self.shares = grown(self.shares, size, axis=1)
        self.profiles.extend([None] * (size - len(self.profiles)))
