"""A second reading of docs/freshness.md: every tick and every event is kept, and gone through."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.scoring.oracle_metrics import HORIZON
from tests.scoring.oracle_records import milliseconds

HOUR = 3_600_000
UNITS = {"s": 1000, "m": 60_000, "h": HOUR, "d": 24 * HOUR, "w": 7 * 24 * HOUR}


@dataclass
class Sources:
    """What a partition has heard of where events come from."""

    told: list[tuple[int, str, int]] = field(default_factory=list)  # (known from, source, newest)
    ticks: list[tuple[int, int]] = field(default_factory=list)  # live ones: (partition, time)
    gap: tuple[int, int] | None = None
    days: dict[str, list[tuple[str, int]]] = field(default_factory=dict)  # account: source, day
    heard: dict[str, None] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    known: dict[str, int | None] = field(default_factory=dict)  # newest event times
    folded: list[tuple[int, str]] = field(default_factory=list)  # (clock, source)
    rejected: list[tuple[int, str, int]] = field(default_factory=list)  # (time, source, how many)

    def tick(self, record: dict[str, Any]) -> None:
        """Hear a live tick, or one of a history that is taken in."""
        time = milliseconds(record["time"])
        for source, newest in record["sources"].items():
            known_from = time if record["mode"] == "live" else 0
            self.told.append((known_from, source, milliseconds(newest)))
        if record["mode"] == "live":
            partition = record["source_partition"]
            before = [at for of, at in self.ticks if of == partition]
            if before and time - max(before) > HOUR:
                self.gap = max(before), time
            self.ticks.append((partition, time))

    def refusals(self, record: dict[str, Any]) -> None:
        """Hear of refusals."""
        time = milliseconds(record["time"])
        for source, count in record.get("rejected", {}).items():
            self.heard[source] = None
            self.rejected.append((time, source, count))

    def fold(self, event: dict[str, Any], day: int, clock: int, *, too_old: bool) -> None:
        """An event of an account."""
        self.heard[event["source"]] = None
        self.folded.append((clock, event["source"]))
        if not too_old:
            self.days.setdefault(event["account_id"], []).append((event["source"], day))

    def newest(self, source: str, t: int) -> int | None:
        """The newest event time that is known at an instant."""
        return max((e for at, of, e in self.told if of == source and at <= t), default=None)

    def judge(self, declared: dict[str, Any], t: int) -> None:
        """Decide every source's status at an instant."""
        for source in [*declared, *(of for at, of, _ in self.told if at <= t)]:
            self.heard[source] = None
        for source in self.heard:
            every = declared.get(source, {}).get("expected_every")
            self.known[source] = self.newest(source, t)
            self.status[source] = self.one_status(self.known[source], every, t)

    def one_status(self, e: int | None, every: str | None, t: int) -> str:
        """The table of the page."""
        if e is None:
            return "quiet"
        if self.gap is not None and e <= self.gap[0] < t:
            g, h = self.gap
            if every is not None or (g - e <= 24 * HOUR and t <= h + 24 * HOUR):
                return "stale"
        if every is not None:
            return "stale" if t - e > int(every[:-1]) * UNITS[every[-1]] else "ok"
        return "quiet" if t - e > 24 * HOUR else "ok"

    def touch(self, account: str, r: int) -> bool:
        """Whether an account had an event of a stale source inside the horizon."""
        own = self.days.get(account, [])
        return any(self.status.get(of) == "stale" and day >= r - HORIZON for of, day in own)

    def said(self, clock: int | None) -> dict[str, Any]:
        """Each source's status, newest event time, and counts of the last hours."""
        first = (clock or 0) // HOUR - 24
        events = Counter(of for at, of in self.folded if at // HOUR >= first)
        refused: Counter[str] = Counter()
        for at, of, count in self.rejected:
            refused[of] += count if at // HOUR >= first else 0
        return {
            source: (
                self.status.get(source, "quiet"),
                self.known.get(source),
                events[source],
                refused[source],
            )
            for source in self.heard
        }
