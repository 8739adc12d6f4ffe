"""Many seeds, one after the other: what fails is told so that it can be run again."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from tests.simulation.checks import check
from tests.simulation.world import World

QUIET = structlog.make_filtering_bound_logger(50)

LEAST_BY_THOUSAND = {
    "fenced commits": 12,
    "commit lost before it was done": 8,
    "commit done, the answer lost": 4,
    "batches failed": 60,
    "loads": 800,
    "states used again": 150,
    "duplicates of before": 1000,
    "evicted": 200,
    "owned by two": 20,
    "sending lost before it was done": 20,
    "sending done, the answer lost": 20,
    "a batch written after it was given up": 15,
    "nemesis kill": 100,
    "nemesis stall": 100,
    "nemesis restart": 100,
    "nemesis rebalance": 100,
    "nemesis give_twice": 100,
    "nemesis lose_requests": 100,
    "nemesis lose_answers": 100,
    "nemesis cut_off": 100,
    "nemesis fall_silent": 100,
    "nemesis slow_down": 100,
}
"""What must have happened in a thousand seeds, at least so often: else the faults were none."""


@dataclass
class Report:
    """What came of some seeds."""

    seeds: int = 0
    faults: list[str] = field(default_factory=list)
    sometimes: Counter[str] = field(default_factory=Counter)

    def add(self, seed: int) -> None:
        """Run a seed."""
        world = World(seed)
        self.seeds += 1
        try:
            world.run()
            check(world)
        except Exception as error:
            self.faults.append(told(world, error))
        finally:
            self.sometimes.update(world.network.sometimes)
            world.close()

    def merge(self, other: "Report") -> None:
        """Take in what came of others."""
        self.seeds += other.seeds
        self.faults += other.faults
        self.sometimes.update(other.sometimes)

    def seldom(self) -> list[str]:
        """What did not happen often enough."""
        return [
            f"{what}: {self.sometimes[what]} times in {self.seeds} seeds"
            for what, least in LEAST_BY_THOUSAND.items()
            if self.sometimes[what] < least * self.seeds // 1000
        ]


def told(world: World, error: Exception) -> str:
    """The seed, what was done to it, what is wrong, and how to see it again."""
    shape = "live" if world.live else "history"
    return "\n".join(
        (
            f"seed {world.seed}: {world.services}, {shape}, {world.partitions} partitions",
            *world.nemeses.done,
            f"{type(error).__name__}: {error}",
            f"again: python -m tests.simulation --only {world.seed}",
        )
    )


def run(seeds: Iterable[int]) -> Report:
    """Run seeds."""
    structlog.configure(wrapper_class=QUIET)
    report = Report()
    try:
        for seed in seeds:
            report.add(seed)
    finally:
        structlog.reset_defaults()
    return report
