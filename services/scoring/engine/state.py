"""A partition's state: arrays in memory, written through to Postgres as deltas.

The account axis is first where an array has no days, and last in the day ring; arrays have room
to grow, so only their first `accounts.count` entries mean anything.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.engine.backfill.piece import Piece
from services.scoring.engine.by_owner import ByOwner
from services.scoring.engine.classes import Classes
from services.scoring.engine.hashes import HashSet
from services.scoring.engine.plan import Plan
from services.scoring.engine.published import Override, PartArray, Published, no_parts
from services.scoring.engine.score import NO_SCORE
from services.scoring.engine.sources import Sources
from services.scoring.engine.success.state import Success
from services.scoring.engine.sums import DaySums
from services.scoring.engine.table import BoolArray, FloatArray, HashArray, HashTable, IntArray
from services.scoring.engine.users.state import UserDays, Users
from services.scoring.engine.values import ValueHashes
from shared.configuration import HORIZON_DAYS

RING_DAYS = 128  # the least power of two above the horizon and the running day
NEVER = -1
SCORES_RING_DAYS = 32  # enough for the change over 28 days
ALWAYS_KNOWN = -(10**6)

assert RING_DAYS > HORIZON_DAYS + 1


class Fact(NamedTuple):
    """A last-writer-wins value: the newest (time, id) wins."""

    time_ms: int
    event_id: str
    value: Any


class Held(NamedTuple):
    """A record that waits until the running day reaches its day."""

    day: int
    number: int  # the order of arrival
    key: bytes | None
    value: bytes
    offset: int  # in the log


@dataclass
class Clock:
    """Where the partition stands in time. `now_ms` is None until the first tick."""

    now_ms: int | None = None
    running_day: int = 0
    live: bool = False
    source_partitions: int = 0
    live_ticks_ms: dict[int, int] = field(default_factory=dict)  # newest, by source partition


@dataclass
class DaySets:
    """One bit per (thing, day), where the thing is a value of an account."""

    signal_no: int
    since_day: int
    things: HashTable
    owners: IntArray  # [thing], the account
    low: HashArray  # [thing], bits of the days whose number modulo 128 is below 64
    high: HashArray  # [thing], the others
    counts: dict[int, IntArray]  # window → [account], things with a bit inside it
    by_owner: ByOwner = field(default_factory=ByOwner)


@dataclass
class ActiveDays:
    """On which days an account had events, and what outlives the horizon of it."""

    signal_no: int
    since_day: int
    low: HashArray  # [account], bits of the days whose number modulo 128 is below 64
    high: HashArray  # [account], the others
    first: IntArray  # [account], NEVER without one
    last: IntArray  # [account], NEVER without one
    faded: FloatArray  # [account], Σ 2^(day / 120) over the active days that left the horizon


@dataclass
class OpenKeys:
    """How many keys were opened and are not closed."""

    signal_no: int
    since_day: int
    counts: IntArray  # [account]
    closed: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    """By the day of their closing: the (account, fact name) of keys that are closed."""


@dataclass
class Latest:
    """The newest value of a property; NaN without one."""

    signal_no: int
    since_day: int
    values: FloatArray  # [account]
    days: IntArray  # [account]


SignalState = DaySums | DaySets | UserDays | ActiveDays | OpenKeys | Latest


@dataclass
class Accounts:
    """What is known of each account, beside its signals."""

    table: HashTable = field(default_factory=HashTable)
    ids: list[str] = field(default_factory=list)
    facts: list[dict[str, Fact]] = field(
        default_factory=list
    )  # by name, `profile.…`, `latest.…`, `open.…`, `override`
    profiles: list[dict[str, Any]] = field(default_factory=list)
    overrides: dict[int, Override] = field(default_factory=dict)  # by account, those in force
    created_days: IntArray = field(default_factory=lambda: np.zeros(16, np.int64))
    late: BoolArray = field(default_factory=lambda: np.zeros(16, bool))
    news: BoolArray = field(default_factory=lambda: np.zeros(16, bool))
    """Something other than time may have changed the score since the last publication."""
    touched: BoolArray = field(default_factory=lambda: np.zeros(16, bool))
    """To be evaluated."""
    backfilled: BoolArray = field(default_factory=lambda: np.zeros(16, bool))
    """The kept log was read for a signal since the last publication."""
    differs: BoolArray = field(default_factory=lambda: np.zeros(16, bool))
    """Must be published whatever the score: never was, other profile, other revision."""
    unheard: BoolArray = field(default_factory=lambda: np.zeros(16, bool))
    """Had an event of a source that is stale now."""
    stale: BoolArray = field(default_factory=lambda: np.zeros(16, bool))
    """Unheard, and no override is in force."""
    cards: NDArray[np.int16] = field(default_factory=lambda: np.zeros((16, 4), np.int16))
    """[account, whole]: the scorecard, by how the onboarding stands."""
    closed_tenths: IntArray = field(
        default_factory=lambda: np.full((16, SCORES_RING_DAYS), NO_SCORE, np.int64)
    )  # [account, day % 32]
    history: IntArray = field(default_factory=lambda: np.full((16, 4), -2, np.int64))
    """[account, (tenths, coverage, heading, stale)] of the newest history row."""

    @property
    def count(self) -> int:
        return len(self.ids)

    def touch(self, accounts: IntArray | int | slice) -> None:
        """Something happened to the accounts: they are to be evaluated."""
        self.touched[accounts] = True
        self.news[accounts] = True


@dataclass
class State:
    """All that one partition's scores depend on."""

    partition: int
    hash_seed: int
    accounts: Accounts = field(default_factory=Accounts)
    users: Users = field(default_factory=Users)
    clock: Clock = field(default_factory=Clock)
    success: Success = field(default_factory=Success)
    plan: Plan | None = None
    active_config: bytes | None = None  # the `myaku.config` record in effect
    next_config: bytes | None = None  # one that waits for the next tick
    signals: list[SignalState] = field(default_factory=list)  # as in plan.signals
    unread: dict[int, int] = field(default_factory=dict)
    """By number, the signals for which the kept log was not read, and up to which offset it is."""
    learned: dict[str, list[Piece]] = field(default_factory=dict)
    """By backfill, what the kept log says, in memory for the record that lets it in."""
    next_signal_no: int = 1  # above those of all signals that this state has had
    profile_numbers: FloatArray = field(
        default_factory=lambda: np.zeros((0, 16))
    )  # [field, account]
    profile_matches: BoolArray = field(default_factory=lambda: np.zeros((0, 16), bool))
    """[condition, account]: which profiles are as the rules of scorecards want them."""
    evaluated: PartArray = field(default_factory=no_parts)
    """[part, account]: of the newest evaluation, in ten-thousandths of a point."""
    time_parts: PartArray = field(default_factory=no_parts)
    """[part, account]: what closes alone changed since the last publication, likewise."""
    published: Published = field(default_factory=Published)
    seen: dict[int, HashSet] = field(default_factory=dict)  # by bucket
    held: dict[int, list[Held]] = field(default_factory=dict)  # by day
    erased: dict[int, list[int]] = field(default_factory=dict)
    """When people were erased, ascending, by the keyed hash of the user id."""
    next_number: int = 0  # never used before, for rows that need one
    sources: Sources = field(default_factory=Sources)
    classes: Classes | None = None  # of the plan
    value_hashes: ValueHashes = field(init=False)

    def __post_init__(self) -> None:
        self.value_hashes = ValueHashes(self.hash_seed)

    def number(self) -> int:
        """A number that no row of this partition has had."""
        self.next_number += 1
        return self.next_number - 1

    def is_ahead(self, times_ms: IntArray) -> BoolArray:
        """Which times are of days that the clock has not reached. [event]"""
        if self.clock.now_ms is None:
            return np.full(len(times_ms), True)
        assert self.plan is not None
        ahead: BoolArray = self.plan.calendar.days_of(times_ms) > self.day
        return ahead

    @property
    def day(self) -> int:
        """The running day."""
        return self.clock.running_day
