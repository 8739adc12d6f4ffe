"""The rules as timelines: the acceptance cases of alerts, hour by hour on the partition's clock."""

from typing import Any

import msgspec
import pytest

from services.alerts.decide import Act, act
from tests.alerts.world import AT_ONCE, RULE, World, at_ms, config, health, no_rules, tick

KEY = ("acme", "churn_risk", "")


def test_a_dip_shorter_than_for_tells_nobody() -> None:
    world = World()
    world.score(0, 55)
    world.score(5, 70)
    world.advance(77)
    assert world.events == [("pending", 0), ("discarded", 5)]
    assert world.notes == []
    assert world.alerts == []


def test_a_breach_that_lasts_fires_once_and_says_why() -> None:
    world = World()
    world.score(-0.5, 80)
    world.score(0, 55)
    world.advance(5.99)
    assert world.alerts == [("pending", "warning", 1)]
    effects = world.advance(40)
    assert world.alerts == [("firing", "warning", 1)]
    assert world.notes == [("opened", 6)]
    body = msgspec.json.decode(effects.notifications[0].body)
    assert body["type"] == "alert.opened"
    assert body["data"]["owner"] == "ana@example.com"
    assert body["data"]["change"]["points"] == -25.0
    assert [reason["change"] for reason in body["data"]["reasons"]] == [-12.5, -12.5]
    assert body["data"]["change"]["text"] == (
        "Acme is at 55 (watch), 25.0 points below the 80 of 2026-03-02; -8.6 in 7 days.\n"
        "- Active users in 28 days is 7, which costs 12.5 points.\n"
        "- Features in 28 days is 3, which costs 12.5 points.\n"
        "Renews on 2026-05-01; MRR 1,200.00 EUR; owner ana@example.com.\n"
        "What to do: Call them."
    )


@pytest.mark.parametrize(
    ("hold", "said", "change_7d"),
    [("24h", "-8.6 in 7 days.", -8.6), ("49h", "unchanged since 2026-03-02.", None)],
)
def test_a_record_that_stands_for_days_tells_no_trend(
    hold: str, said: str, change_7d: float | None
) -> None:
    world = World({**RULE, "for": hold})
    world.score(-0.5, 80)
    world.score(0, 55)
    [note] = world.advance(60).notifications
    change = msgspec.json.decode(note.body)["data"]["change"]
    assert change["text"].split("\n")[0].endswith(said)
    assert change["change_7d"] == change_7d


def test_who_acts_is_not_told_what_to_do() -> None:
    world = World(AT_ONCE)
    world.score(0, 55)
    taken = act(world.state, KEY, Act("acknowledge", "ana"), deliver_history=False)
    text = msgspec.json.decode(taken.notifications[0].body)["data"]["change"]["text"]
    assert text.startswith("ana has taken on the alert for Acme.")
    assert "What to do" not in text


@pytest.mark.parametrize(
    ("score", "expected"),
    [(60.0, []), (59.9, [("firing", "warning", 1)]), (39.9, [("firing", "critical", 1)])],
)
def test_a_trigger_is_a_line_that_must_be_crossed(score: float, expected: list[Any]) -> None:
    world = World(AT_ONCE)
    world.score(0, score)
    assert world.alerts == expected


@pytest.mark.parametrize(("score", "state"), [(64.9, "firing"), (65.0, "recovering")])
def test_clear_begins_at_its_line(score: float, state: str) -> None:
    world = World({**RULE, "for": "0s"})
    world.score(0, 55)
    world.score(1, score)
    assert world.alerts == [(state, "warning", 1)]


def test_between_the_lines_nothing_happens() -> None:
    world = World()
    world.score(0, 55)
    for hour in range(7, 79):
        world.score(hour, 61 + hour % 4)
    assert world.notes == [("opened", 6)]
    assert world.alerts == [("firing", "warning", 1)]


def test_what_gets_worse_is_told_at_once_and_is_new_again() -> None:
    world = World()
    world.score(0, 55)
    world.advance(6)
    world.told.append(act(world.state, KEY, Act("acknowledge", "ana"), deliver_history=False))
    world.score(7, 35)
    assert world.notes == [("opened", 6), ("acknowledged", 6), ("raised", 7)]
    assert world.state.standings[KEY].handling == "new"


def test_no_severity_is_told_twice_in_an_episode() -> None:
    world = World(AT_ONCE)
    for hour, score in enumerate((55, 35, 45, 35, 52, 35)):
        world.score(hour, score)
        expected = "warning" if score in (55, 52) else "critical"
        assert world.alerts == [("firing", expected, 1)]
    world.advance(100)
    assert world.notes == [("opened", 0), ("raised", 1)]


def test_recovery_must_last_and_is_told_once() -> None:
    world = World()
    world.score(0, 55)
    world.score(10, 66)
    world.score(20, 63)  # between the lines: not yet
    world.score(30, 68)
    world.score(42, 70)
    world.advance(53.9)
    assert world.alerts == [("recovering", "warning", 1)]
    world.advance(80)
    assert world.notes == [("opened", 6), ("resolved", 54)]
    assert world.events[2:] == [
        ("recovering", 10),
        ("relapsed", 20),
        ("recovering", 30),
        ("resolved", 54),
    ]


def test_a_note_inside_the_cooldown_waits_for_its_end() -> None:
    world = World(AT_ONCE)
    world.score(0, 55)
    world.score(1, 70)
    world.score(2, 55)
    assert world.alerts == [("firing", "warning", 1)]
    world.advance(23.9)
    assert world.notes == [("opened", 0), ("resolved", 1)]
    world.advance(30)
    assert world.notes[2:] == [("reopened", 24)]


def test_a_note_that_waits_is_dropped_when_the_alert_is_over() -> None:
    world = World(AT_ONCE)
    for hour, score in enumerate((55, 70, 55, 70)):
        world.score(hour, score)
    world.advance(100)
    assert world.notes == [("opened", 0), ("resolved", 1)]


@pytest.mark.parametrize(
    ("after", "alerts"),
    [
        (72, [("firing", "warning", 1)]),
        (72.01, [("resolved", "warning", 1), ("firing", "warning", 2)]),
    ],
)
def test_the_same_again_within_reopen_is_the_same_alert(after: float, alerts: list[Any]) -> None:
    world = World(AT_ONCE)
    world.score(0, 55)
    world.score(1, 70)
    world.score(1 + after, 55)
    assert world.alerts == alerts


def test_what_a_user_closed_stays_closed_until_it_is_worse() -> None:
    world = World(AT_ONCE)
    world.score(0, 54)
    world.told.append(act(world.state, KEY, Act("close", "ana", "known"), deliver_history=False))
    for hour, score in enumerate((54, 53, 54), 1):
        world.score(24 * hour, score)
    assert world.alerts == [("resolved", "warning", 1)]
    world.score(80, 38)
    assert world.alerts == [("resolved", "warning", 1), ("firing", "critical", 2)]
    assert world.notes == [("opened", 0), ("closed", 0), ("opened", 80)]


@pytest.mark.parametrize("score", [None, 55.0])
def test_stale_news_neither_fires_nor_resolves(score: float | None) -> None:
    world = World()
    world.score(0, 55)
    world.score(1, score, stale=True)
    world.advance(500)
    assert world.alerts == [("pending", "warning", 1)]
    world.score(500, 55)
    world.advance(501)
    assert world.events[-1] == ("opened", 500)
    world.score(502, 70)
    world.score(503, 70, stale=True)
    world.advance(900)
    assert world.alerts == [("recovering", "warning", 1)]


def test_who_never_was_well_is_no_news() -> None:
    rule = {**AT_ONCE, "armed_after": "14d"}
    world = World(rule)
    world.score(0, 55)
    world.score(24, 70)
    world.score(24 * 10, 50)  # well for 9 days only
    world.score(24 * 11, 70)
    world.score(24 * 20, 62)  # between the lines
    assert world.alerts == []
    world.score(24 * 25, 55)
    assert world.events == [("opened", 24 * 25)]


@pytest.mark.parametrize("field", ["excluded", "closed"])
def test_excluded_accounts_have_no_open_alerts(field: str) -> None:
    world = World(AT_ONCE)
    world.score(0, 55)
    world.score(1, 30, profile={field: True})
    assert world.notes == [("opened", 0), ("resolved", 1)]
    world.score(2, 20, profile={field: True})
    alert = next(iter(world.state.alerts.values()))
    assert (alert.state, alert.resolved_by) == ("resolved", "account")


def test_a_rule_that_is_removed_ends_its_alerts() -> None:
    world = World(AT_ONCE)
    world.score(0, 55)
    world.advance(3)
    world.read(no_rules())
    alert = next(iter(world.state.alerts.values()))
    assert (alert.state, alert.resolved_by, alert.resolved_ms) == ("resolved", "rule", at_ms(3))
    assert (world.notes, world.lines) == ([("opened", 0)], [("resolved", 3)])
    world.read(config(AT_ONCE))
    world.score(4, 50)
    assert world.alerts[-1] == ("firing", "warning", 2)


def test_history_is_delivered_where_that_is_wanted() -> None:
    world = World(deliver_history=True)
    world.score(0, 55, mode="history")
    world.advance(24, "history")
    assert world.notes == [("opened", 6)]


def test_records_handled_before_change_nothing() -> None:
    world = World(AT_ONCE)
    world.read(health(0, 70, 5), health(1, 55, 6))
    known = (dict(world.state.standings), dict(world.state.alerts))
    effects = world.read(health(0, 70, 5), health(1, 55, 6), health(0, 80, 4))
    assert effects.repeated == 3
    assert not effects.events
    assert (world.state.standings, world.state.alerts) == known


def test_a_tick_sent_again_runs_no_timer_that_news_of_the_same_instant_would_stop() -> None:
    world = World()
    world.read(health(0, 55, 1), health(0, 70, 1, "other"))
    world.read(tick(5), health(6, 71, 2, "other"), tick(5), health(6, 70, 2), tick(6))
    assert world.events == [("pending", 0), ("discarded", 6)]


def test_timers_due_before_a_record_run_before_it_and_those_due_with_it_after() -> None:
    early, late = World(), World()
    for world, hour in ((early, 6.0), (late, 6.01)):
        world.score(0, 55)
        world.score(hour, 70)
        world.advance(7)
    assert early.events == [("pending", 0), ("discarded", 6)]
    assert late.events == [("pending", 0), ("opened", 6), ("recovering", 6.01)]
