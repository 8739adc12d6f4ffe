"""A clock that stands still: what is measured, what is said, and when."""

from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from shared import watch
from shared.operations import Readiness
from shared.watch import AGAIN_MS, STANDING_LOOKS, Clock, Watch

MINUTE_MS = 60_000
START_MS = 1_800_000_000_000


class World:
    """A wall clock, and the clocks of a service's partitions."""

    def __init__(self, *, moving: bool = True) -> None:
        self.now_ms = START_MS
        self.clocks = [Clock(0, START_MS, "ingest"), Clock(1, START_MS, "ingest")]
        self.readiness = Readiness()
        self.watch = Watch(lambda: self.clocks, lambda: self.now_ms, self.readiness, moving=moving)

    def look(self, times: int = 1) -> list[str]:
        """What was said."""
        with capture_logs() as said:
            for _ in range(times):
                self.watch.look()
        return [str(each["event"]) for each in said]

    def tick(self) -> None:
        """All clocks go to the wall's time."""
        self.clocks = [Clock(each.partition, self.now_ms, each.holder) for each in self.clocks]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.look(STANDING_LOOKS)
    yield made
    made.clocks = []
    made.look()


def gauge(name: str, partition: int) -> float | None:
    return REGISTRY.get_sample_value(name, {"partition": str(partition)})


def test_it_tells_after_three_minutes_and_says_who_holds_it(world: World) -> None:
    world.now_ms += watch.BEHIND_MS_MAX
    assert world.look() == []
    world.now_ms += 1
    with capture_logs() as said:
        world.watch.look()
    assert said == [
        {
            "event": "the clock stands still",
            "log_level": "error",
            "partitions": [0, 1],
            "at": "2027-01-15T08:00:00.000Z",
            "behind_seconds": 180,
            "held_by": ["ingest"],
        }
    ]
    assert world.readiness.facts["clock"] == {"behind_seconds": 180, "held_by": ["ingest"]}
    assert gauge("myaku_clock_behind_seconds", 1) == 180.001


def test_it_repeats_itself_rarely_and_says_when_it_is_over(world: World) -> None:
    world.now_ms += 4 * MINUTE_MS
    assert world.look(100) == ["the clock stands still"]
    world.now_ms += AGAIN_MS - 1
    assert world.look() == []
    world.now_ms += 1
    assert world.look(2) == ["the clock stands still"]
    world.tick()
    assert world.look(2) == ["the clock goes again"]
    assert world.readiness.facts["clock"] == {"behind_seconds": 0, "held_by": []}
    world.now_ms += 4 * MINUTE_MS
    assert world.look(STANDING_LOOKS) == ["the clock stands still"]


def test_another_holder_is_news(world: World) -> None:
    world.now_ms += 4 * MINUTE_MS
    world.look()
    world.clocks = [Clock(0, START_MS, "scoring"), Clock(1, world.now_ms, "ingest")]
    assert world.look(2) == ["the clock stands still"]
    assert world.readiness.facts["clock"]["held_by"] == ["scoring"]


def test_a_clock_that_is_no_longer_known_counts_from_then_on(world: World) -> None:
    """A partition taken away and given back is not behind for as long as the process lives."""
    world.now_ms += 60 * MINUTE_MS
    world.clocks = [Clock(0, None, "ingest")]
    assert world.look(STANDING_LOOKS) == []
    assert gauge("myaku_clock_behind_seconds", 0) == 0
    world.now_ms += 4 * MINUTE_MS
    assert world.look(STANDING_LOOKS) == ["the clock stands still"]
    assert gauge("myaku_clock_timestamp_seconds", 0) == START_MS / 1000  # as long as it was known


def test_a_clock_that_catches_up_does_not_stand_still() -> None:
    world = World()
    world.now_ms += 3 * 60 * MINUTE_MS
    for minute in range(3 * 60):  # it moves
        world.clocks = [Clock(0, START_MS + minute * MINUTE_MS, "ingest")]
        assert world.look(STANDING_LOOKS - 1) == []
    assert world.readiness.facts["clock"]["behind_seconds"] == 60
    world.clocks = []
    world.look()


def test_a_partition_that_is_gone_leaves_no_value(world: World) -> None:
    world.clocks = world.clocks[:1]
    world.look()
    names = ("myaku_clock_timestamp_seconds", "myaku_clock_behind_seconds")
    assert [gauge(name, 0) is None for name in names] == [False, False]
    assert [gauge(name, 1) for name in names] == [None, None]


def test_partitions_that_went_elsewhere_do_not_make_the_clock_go_again(world: World) -> None:
    world.now_ms += 4 * MINUTE_MS
    world.look()
    world.clocks = []
    assert world.look() == []


def test_a_clock_that_follows_a_history_is_never_behind() -> None:
    world = World(moving=False)
    world.now_ms += 365 * 24 * 60 * MINUTE_MS
    assert world.look(STANDING_LOOKS) == []
    assert gauge("myaku_clock_behind_seconds", 0) is None
    assert gauge("myaku_clock_timestamp_seconds", 0) == START_MS / 1000
    world.clocks = []
    world.look()
