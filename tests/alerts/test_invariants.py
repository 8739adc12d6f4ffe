"""What holds of any timeline: the invariants of the alert rules, on random ones."""

from collections import Counter
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.alerts.alert import Event
from services.alerts.decide import Act, act
from services.alerts.notifications import Notification
from services.alerts.records import decode
from services.alerts.rules import OPEN, rank
from tests.alerts.world import HOUR_MS, RULE, T0_MS, World, at_ms, health, tick

RULES: list[dict[str, Any]] = [
    RULE,
    {**RULE, "for": "0s", "clear_for": "0s"},
    {**RULE, "for": "0s", "cooldown": "6h", "reopen_within": "12h"},
    {**RULE, "clear_for": "0s", "armed_after": "2d"},
]
SCORES = st.sampled_from([None, 20.0, 39.9, 45.0, 55.0, 59.9, 62.0, 65.0, 80.0])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("score"), st.integers(0, 9), SCORES),
        st.tuples(st.just("tick"), st.integers(0, 40), st.none()),
        st.tuples(st.sampled_from(["acknowledge", "close", "again"]), st.just(0), st.none()),
    ),
    max_size=40,
)
KEY = ("acme", "churn_risk", "")
FIRES = ("opened", "reopened", "raised")
ENDS = ("resolved", "closed")


def play(rule: dict[str, Any], steps: list[tuple[str, int, Any]]) -> World:
    """A timeline; each score comes with a tick, as scoring sends it."""
    world, hour, last = World(rule), 0, None
    world.advance(0)
    for what, hours, score in steps:
        hour += hours
        if what == "score":
            last = (hour, score, world.sequence + 1)
            world.score(hour, score)
            world.advance(hour)
        elif what == "tick":
            world.advance(hour)
        elif what == "again" and last:
            before = dict(world.state.standings)
            assert not world.read(health(*last)).events
            assert world.state.standings == before
        elif what in ("acknowledge", "close") and KEY in world.state.standings:
            done = act(world.state, KEY, Act(what, "ana"), deliver_history=False)  # type: ignore[arg-type]
            world.told.append(done)
        open_now = [one for one in world.state.alerts.values() if one.state != "resolved"]
        assert len(open_now) <= 1
    return world


def happened(world: World) -> tuple[list[Event], list[Notification]]:
    """All events and notifications."""
    events = [event for effects in world.told for event in effects.events]
    return events, [note for effects in world.told for note in effects.notifications]


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(RULES), STEPS)
def test_what_was_told_is_ended_once_and_what_was_not_is_never_ended(
    rule: dict[str, Any], steps: list[tuple[str, int, Any]]
) -> None:
    events, notes = happened(play(rule, steps))
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert max(Counter(note.id for note in notes).values(), default=1) == 1
    told: list[str] = []  # the severities told since the alert opened
    severities = {(event.alert_id, event.number): event.severity for event in events}
    for note in notes:
        severity = severities[note.alert_id, note.number]
        assert severity is not None
        if note.kind in ENDS:
            assert told
            told = []
        elif note.kind in FIRES:
            assert (note.kind == "raised") is bool(told)
            assert not told or rank(severity) > rank(told[-1])
            told.append(severity)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(RULES), STEPS)
def test_inside_the_cooldown_only_what_is_worse_is_told(
    rule: dict[str, Any], steps: list[tuple[str, int, Any]]
) -> None:
    events, notes = happened(play(rule, steps))
    severities = {(event.alert_id, event.number): event.severity for event in events}
    hours = 6 if rule.get("cooldown") else 24
    fires = [note for note in notes if note.kind in FIRES]
    for earlier, later in pairwise(fires):
        worse = rank(severities[later.alert_id, later.number]) > rank(
            severities[earlier.alert_id, earlier.number]
        )
        assert worse or later.at_ms - earlier.at_ms >= hours * HOUR_MS


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(RULES[:3]), STEPS)
def test_a_breach_that_stays_is_open_and_told_unless_a_user_saw_to_it(
    rule: dict[str, Any], steps: list[tuple[str, int, Any]]
) -> None:
    world = play(rule, steps)
    hour = (world.state.clock_ms or T0_MS) - T0_MS
    world.score(hour / HOUR_MS, 55.0)
    world.advance(hour / HOUR_MS + 6 + 24 + 1)
    standing = world.state.standings[KEY]
    if standing.latch is None:
        assert standing.state in OPEN
        assert standing.told is not None or standing.handling == "acked"


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(RULES), STEPS)
def test_while_the_score_is_unknown_nothing_happens(
    rule: dict[str, Any], steps: list[tuple[str, int, Any]]
) -> None:
    world = play(rule, steps)
    hour = ((world.state.clock_ms or T0_MS) - T0_MS) / HOUR_MS
    world.score(hour, 20.0, stale=True)
    world.told.clear()
    world.advance(hour + 1000)
    assert world.events == []


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(RULES), st.lists(st.tuples(st.integers(0, 9), SCORES), max_size=30))
def test_late_and_repeated_records_change_nothing(
    rule: dict[str, Any], scores: list[tuple[int, Any]]
) -> None:
    once, twice = World(rule), World(rule)
    hour = 0
    sent = []
    for sequence, (hours, score) in enumerate(scores, 1):
        hour += hours
        sent += [health(hour, score, sequence), tick(hour)]
        once.read(*sent[-2:])
        twice.read(*sent)
    assert twice.events == once.events
    assert twice.notes == once.notes
    assert once.state.clock_ms == (at_ms(hour) if scores else at_ms(-1))
    assert not decode(sent)[1]
