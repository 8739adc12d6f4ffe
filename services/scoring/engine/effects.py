"""What a step did: which rows have changed, and what goes out. Values are read off the state."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from services.scoring.engine.decode import Quarantined
from services.scoring.engine.published import Heading
from services.scoring.engine.sources import SourceEffects
from services.scoring.engine.state import Held
from services.scoring.engine.success.state import SuccessEffects
from services.scoring.engine.table import BoolArray, HashArray, IntArray
from shared.events import ENGAGEMENT_CHANGES, HEALTH_CHANGES


class HistoryRows(NamedTuple):
    """Accounts' health as known at a day's end, where it differs from the day before. [row]"""

    day: int
    accounts: IntArray
    tenths: IntArray  # NO_SCORE without one
    coverage: IntArray  # hundredths
    headings: IntArray  # numbers in `known`
    stale: BoolArray
    known: list[Heading]


class HealthRow(NamedTuple):
    """An account's health as published: the record, and by what it is looked up."""

    record: bytes
    sequence: int
    score: float | None
    band: str | None
    change_7d: float | None
    change_28d: float | None
    profile: dict[str, Any]


class RankChanged(NamedTuple):
    """A user whose rank changed, and the record that says so."""

    user: int
    key: bytes
    value: bytes
    name: str


class ErasedUser(NamedTuple):
    """Somebody who was erased: the keyed hash, up to when, and the id, which is not kept."""

    person: int
    time_ms: int
    user_id: str


@dataclass
class Effects:
    """Everything that a commit has to write, beside the clock and the offset."""

    number: int  # names the rows of this step; greater than those before
    outbox: list[tuple[bytes, bytes]] = field(default_factory=list)
    """(key, value) for `health.changes`, in order."""
    history: list[HistoryRows] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    sums: list[tuple[int, IntArray, IntArray]] = field(default_factory=list)
    """(signal_no, accounts, days) of the day sums that changed."""
    things: list[tuple[int, IntArray]] = field(default_factory=list)  # (signal_no, things)
    active_days: list[tuple[int, IntArray]] = field(default_factory=list)  # (signal_no, accounts)
    users: list[IntArray] = field(default_factory=list)  # seen, active or ranked anew
    ranks: list[RankChanged] = field(default_factory=list)  # for `engagement.changes`, in order
    ranks_dropped_at: int | None = None  # all ranks went, behind so many of these records
    facts: set[tuple[int, str]] = field(default_factory=set)  # (account, name)
    accounts: set[int] = field(default_factory=set)  # created
    health: dict[int, HealthRow] = field(default_factory=dict)  # by account, the newest
    marks: list[IntArray] = field(default_factory=list)
    """Accounts of which something was noted for their next publication."""
    seen: dict[int, list[HashArray]] = field(default_factory=dict)  # by bucket
    sources: SourceEffects = field(default_factory=SourceEffects)
    held: list[Held] = field(default_factory=list)
    erased: list[ErasedUser] = field(default_factory=list)
    backfills: list[str] = field(default_factory=list)  # ids of those that were taken in
    released_days: list[int] = field(default_factory=list)
    success: SuccessEffects = field(default_factory=SuccessEffects)
    plan_changed: bool = False
    config_changed: bool = False
    closed: bool = False
    duplicates: int = 0
    too_old: int = 0
    fields_left_out: int = 0
    events: int = 0
    published: int = 0

    @property
    def outgoing(self) -> dict[str, list[tuple[bytes, bytes]]]:
        """What goes out, by topic: ranks before the health that shows them."""
        ranks = [(each.key, each.value) for each in self.ranks]
        topics = {ENGAGEMENT_CHANGES: ranks, HEALTH_CHANGES: self.outbox}
        return {topic: records for topic, records in topics.items() if records}
