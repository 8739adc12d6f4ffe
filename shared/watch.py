"""The watch: a clock that stands still is told to operations, on wall time, with who holds it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from shared import metrics
from shared.operations import Readiness
from shared.runtime import Running, log
from shared.times import iso_time

BEHIND_MS_MAX = 3 * 60_000
AGAIN_MS = 30 * 60_000
"""A clock that goes on standing still is told of again after so long."""

LOOK_SECONDS = 1.0
STANDING_LOOKS = 10
"""Seen so often at the same time, a clock stands still; one that catches up moves."""


@dataclass(frozen=True)
class Clock:
    """A partition's clock: where it stands, None before the first tick, and who would hold it."""

    partition: int
    at_ms: int | None
    holder: str


class Watch:
    """Looks at the clocks of a service each second; `moving`: they follow the wall."""

    def __init__(
        self,
        clocks: Callable[[], Sequence[Clock]],
        now_ms: Callable[[], int],
        readiness: Readiness,
        *,
        moving: bool,
    ) -> None:
        self.clocks = clocks
        self.now_ms = now_ms
        self.readiness = readiness
        self.moving = moving
        self.since_ms: dict[int, int] = {}
        """By partition: since when its clock is not known, or when it was first looked at."""
        self.seen: dict[int, tuple[int | None, int]] = {}
        """By partition: where its clock was seen, and how often."""
        self.told: tuple[str, ...] = ()
        self.told_ms = 0

    async def run(self, running: Running) -> None:
        """Look until the process is to stop."""
        while not await running.pause(LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Set the gauges of what is there, and remove those of what is gone; tell what stands."""
        now_ms, clocks = self.now_ms(), self.clocks()
        for gone in self.seen.keys() - {clock.partition for clock in clocks}:
            for gauge in (metrics.CLOCK, metrics.CLOCK_BEHIND):
                gauge.remove_by_labels({"partition": str(gone)})
            del self.seen[gone], self.since_ms[gone]
        for clock in clocks:
            at_ms, times = self.seen.get(clock.partition, (None, 0))
            self.seen[clock.partition] = (clock.at_ms, times + 1 if clock.at_ms == at_ms else 1)
            if clock.partition not in self.since_ms or (at_ms is not None and clock.at_ms is None):
                self.since_ms[clock.partition] = now_ms
            if clock.at_ms is not None:
                metrics.CLOCK.labels(partition=str(clock.partition)).set(clock.at_ms / 1000)
        if self.moving:
            self._compare(now_ms, clocks)

    def _compare(self, now_ms: int, clocks: Sequence[Clock]) -> None:
        behind_ms: dict[Clock, int] = {}
        for clock in clocks:
            since_ms = clock.at_ms if clock.at_ms is not None else self.since_ms[clock.partition]
            behind_ms[clock] = max(0, now_ms - since_ms)
            gauge = metrics.CLOCK_BEHIND.labels(partition=str(clock.partition))
            gauge.set(behind_ms[clock] / 1000)
        late = [clock for clock in clocks if behind_ms[clock] > BEHIND_MS_MAX]
        facts: dict[str, Any] = {
            "behind_seconds": max(behind_ms.values(), default=0) // 1000,
            "held_by": sorted({clock.holder for clock in late}),
        }
        self.readiness.facts["clock"] = facts
        standing = [clock for clock in late if self.seen[clock.partition][1] >= STANDING_LOOKS]
        if standing:
            self._tell(now_ms, standing, facts)
        elif self.told and not late:
            if clocks:
                log.info("the clock goes again")
            self.told = ()

    def _tell(self, now_ms: int, late: Sequence[Clock], facts: dict[str, Any]) -> None:
        """When it begins, when others hold it, and rarely while it lasts."""
        holders = tuple(sorted({clock.holder for clock in late}))
        if holders == self.told and now_ms - self.told_ms < AGAIN_MS:
            return
        oldest_ms = min((clock.at_ms for clock in late if clock.at_ms is not None), default=None)
        log.error(
            "the clock stands still",
            partitions=[clock.partition for clock in late],
            at=None if oldest_ms is None else iso_time(oldest_ms),
            **facts,
        )
        self.told, self.told_ms = holders, now_ms
