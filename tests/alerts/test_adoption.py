"""What is no alarm is told in digests: going live, gaps, configurations, what came late."""

from typing import Any

import pytest

from services.alerts.state import Effects
from shared.events import Cause, Driver, ScorecardName
from tests.alerts.world import AT_ONCE, World, config, health, no_rules, tick

MILD: dict[str, Any] = {
    **AT_ONCE,
    "levels": [
        {"severity": "warning", "trigger": 50, "clear": 52},
        {"severity": "critical", "trigger": 30, "clear": 35},
    ],
}


def history(*rules: dict[str, Any]) -> World:
    """A world that is still history, at hour 0."""
    world = World(*rules)
    world.read(tick(0, "history"))
    return world


def ways(effects: Effects) -> list[tuple[str, str]]:
    """(kind, way) of the notes."""
    return [(note.kind, note.way) for note in effects.notifications]


def test_what_fires_at_the_first_live_tick_is_adopted_and_its_end_is_told() -> None:
    world = history(AT_ONCE)
    assert ways(world.score(1, 55, mode="history")) == [("opened", "record")]
    assert ways(world.advance(24, "history")) == []
    assert ways(world.advance(24.1)) == [("opened", "adopt")]
    assert ways(world.advance(24.2)) == []
    assert ways(world.score(25, 70)) == [("resolved", "send")]
    assert [what for what, _ in world.events] == ["opened", "adopted", "resolved"]


def test_what_ended_in_history_is_not_adopted_nor_what_is_pending() -> None:
    world = history()
    world.score(1, 55, mode="history")
    world.advance(24, "history")
    world.score(24, 70, mode="history")
    world.advance(50, "history")
    world.score(51, 55, mode="history")
    assert world.alerts == [("pending", "warning", 1)]
    assert ways(world.advance(52)) == []
    assert ways(world.advance(58)) == [("reopened", "send")]


def test_what_came_due_before_the_first_live_tick_is_adopted_with_it() -> None:
    world = history()
    world.score(0, 55, mode="history")
    assert ways(world.read(tick(24))) == [("opened", "record"), ("opened", "adopt")]


def test_a_live_record_before_the_first_live_tick_is_adopted_with_it() -> None:
    world = history(AT_ONCE)
    assert ways(world.score(1, 55)) == [("opened", "record")]
    assert ways(world.advance(1)) == [("opened", "adopt")]


def test_what_is_adopted_is_raised_aloud_when_it_gets_worse() -> None:
    world = history(AT_ONCE)
    world.score(1, 55, mode="history")
    world.advance(2)
    assert ways(world.score(3, 35)) == [("raised", "send")]


def test_a_note_that_the_cooldown_put_off_in_history_is_adopted_at_once() -> None:
    world = history({**AT_ONCE, "reopen_within": "0s"})
    world.score(1, 55, mode="history")
    world.score(2, 70, mode="history")
    world.score(3, 55, mode="history")
    assert ways(world.advance(4)) == [("opened", "adopt")]
    assert ways(world.advance(30)) == []


@pytest.mark.parametrize(("hours", "way"), [(1, "send"), (1.001, "adopt")])
def test_what_crosses_while_a_gap_is_closed_is_adopted(hours: float, way: str) -> None:
    world = World(AT_ONCE)
    world.advance(0)
    assert ways(world.read(health(hours, 55, 1), health(hours, 55, 1, "beta"))) == [
        ("opened", way),
        ("opened", way),
    ]
    world.read(tick(hours))
    assert ways(world.read(health(hours, 55, 1, "gamma"))) == [("opened", "send")]


def test_a_timer_that_a_gap_makes_due_is_adopted() -> None:
    world = World()
    world.score(0, 55)
    world.advance(5)
    assert ways(world.read(tick(8))) == [("opened", "adopt")]


def test_a_breach_that_was_adopted_stays_so_until_it_opens() -> None:
    world = World()
    world.advance(0)
    world.read(health(3, 55, 1), tick(3))
    assert ways(world.advance(9)) == [("opened", "adopt")]
    assert ways(world.read(health(9, 30, 2))) == [("raised", "send")]


def test_a_changed_rule_reads_what_is_known_and_what_it_makes_cross_is_adopted() -> None:
    world = World(MILD)
    world.score(0, 55)
    world.advance(1)
    assert ways(world.read(config(AT_ONCE))) == [("opened", "adopt")]
    assert ways(world.read(config(MILD))) == [("resolved", "adopt")]
    assert ways(world.read(config(MILD))) == []
    assert [hour for _, hour in world.events] == [1, 1]


def test_another_scorecard_revision_is_no_alarm() -> None:
    world = World(AT_ONCE)
    world.score(0, 70)
    assert ways(world.score(1, 55, scorecard=ScorecardName("any_size", "sha256:2"))) == [
        ("opened", "adopt")
    ]
    assert ways(world.score(2, 35, scorecard=ScorecardName("any_size", "sha256:2"))) == [
        ("raised", "send")
    ]


def test_another_scorecard_of_the_same_revision_is_one() -> None:
    world = World(AT_ONCE)
    world.score(0, 70)
    assert ways(world.score(1, 55, scorecard=ScorecardName("large", "sha256:1"))) == [
        ("opened", "send")
    ]


def test_what_came_late_is_no_alarm() -> None:
    late = Driver("uses", 1.0, 55, 1.0, 55, -15.0, "time", [Cause("time", -9), Cause("late", -6)])
    world = World(AT_ONCE)
    world.score(0, 70)
    assert ways(world.score(1, 55, drivers=[late])) == [("opened", "adopt")]


def test_what_the_kept_log_brought_to_a_scorecard_is_no_alarm() -> None:
    cause = [Cause("scorecard", -15.0)]
    learned = Driver("exports", 1.0, 55, 1.0, 55, -15.0, "scorecard", cause)
    world = World(AT_ONCE)
    world.score(0, 70)
    assert ways(world.score(1, 55, drivers=[learned])) == [("opened", "adopt")]


def test_rules_that_are_gone_end_what_they_opened_in_a_digest() -> None:
    world = World(AT_ONCE)
    world.score(0, 55)
    assert ways(world.read(no_rules())) == [("resolved", "adopt")]


def test_in_history_a_changed_configuration_is_recorded_like_all_else() -> None:
    world = history(MILD)
    world.score(1, 55, mode="history")
    assert ways(world.read(config(AT_ONCE))) == [("opened", "record")]


def test_what_gets_worse_before_an_adopted_note_could_be_given_is_no_longer_adopted() -> None:
    world = World({**AT_ONCE, "reopen_within": "0s"})
    world.score(0, 35)
    world.score(1, 70)
    world.read(health(3, 55, 3), tick(3))  # the note waits for the end of the cooldown
    world.sequence = 3
    world.score(4, 35)  # and so does this one, but it is an alarm
    assert ways(world.advance(24)) == [("opened", "send")]


def test_what_is_seen_when_a_silent_source_is_heard_again_is_adopted() -> None:
    world = World(MILD)
    world.score(0, 70)
    world.score(1, 70, stale=True)
    assert ways(world.score(80, 45)) == [("opened", "adopt")]
    assert ways(world.score(81, 20)) == [("raised", "send")]


def test_an_open_alert_rests_while_its_source_is_silent() -> None:
    world = World({**MILD, "clear_for": "24h"})
    world.score(0, 70)
    assert ways(world.score(1, 45)) == [("opened", "send")]
    world.score(2, 60)
    world.score(3, 60, stale=True)
    assert ways(world.advance(100)) == []
    assert world.alerts == [("recovering", "warning", 1)]
    world.score(101, 45)
    assert [what for what, _ in world.events] == ["opened", "recovering", "relapsed"]
