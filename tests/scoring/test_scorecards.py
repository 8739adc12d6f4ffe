"""Gates, floors, steps, rules and overrides, by numbers that can be checked by hand."""

from typing import Any

import pytest

from tests.scoring.documents import document
from tests.scoring.histories import DAY, START, Record, config, event, tick
from tests.scoring.histories import at as at_time
from tests.scoring.twins import both

METRICS = {
    "uses": {"count": "*", "window": "28d"},
    "week": {"count": "*", "window": "7d"},
    "mood": {"latest": "score", "of": "survey.answered"},
    "share": {"latest": "share", "of": "survey.answered"},
}


def card(**others: Any) -> Record:
    """One scorecard: uses, 10 of them are 100; and the mood as it is, half as heavy."""
    measures = {
        "uses": {"weight": 2, "curve": [[0, 0], [10, 100]]},
        "mood": {"weight": 1, "curve": [[0, 0], [100, 100]]},
    }
    dimensions = {"use": {"weight": 1, "measures": measures}}
    return config(document(METRICS, {"id": "all", "dimensions": dimensions, **others}))


def uses(count: int, at: int = START) -> list[Record]:
    return [event("acme", at, id=f"{at}-{number}") for number in range(count)]


def says(**properties: Any) -> Record:
    return event("acme", START, "survey.answered", id="says", properties=properties)


def health(*records: Record) -> Any:
    return both(*records, tick(START + DAY - 1)).health["acme"]


def contributions(record: Any) -> dict[str, float]:
    return {driver["measure"]: driver["contribution"] for driver in record["drivers"]}


GATE = {"gate": {"measure": "share", "takes": 0.5}}
BAD_MOOD = {"id": "bad_mood", "when": {"mood": {"below": 50}}, "cap": 30, "reason": "They said so."}
FINE = {"id": "fine", "when": {"uses": {"at_least": 5}}, "penalty": 25, "reason": "For use."}
HUGE = {"id": "huge", "when": {"uses": {"above": 3, "at_most": 5}}, "penalty": 99, "reason": "!"}
OF_SIZE = {"id": "of_size", "when": {"profile.size": ["S", 1]}, "cap": 10, "reason": "Small."}


@pytest.mark.parametrize(
    ("card_has", "share", "mood", "expected"),
    [
        ({}, None, 40, {"uses": 33.33, "mood": 13.37}),
        ({"floor_share": 0.7}, None, 40, {"uses": 56.67, "mood": 27.33}),
        (GATE, 0.4, None, {"uses": 50.0, "mood": 0.0, "share": -10.0}),
        (GATE, 3.0, None, {"uses": 50.0, "mood": 0.0, "share": -25.0}),
        (GATE, -1.0, None, {"uses": 50.0, "mood": 0.0, "share": 0.0}),
        (GATE | {"floor_share": 0.7}, 0.4, None, {"uses": 85.0, "mood": 0.0, "share": -17.0}),
        ({"rules": [BAD_MOOD, FINE]}, None, 40, {"uses": 33.33, "mood": 13.33, "bad_mood": -16.66}),
        ({"rules": [FINE, BAD_MOOD]}, None, 40, {"uses": 33.33, "mood": 13.37, "fine": -25.0}),
        ({"rules": [BAD_MOOD]}, None, 60, {"uses": 33.33, "mood": 19.97}),
        ({"rules": [BAD_MOOD]}, None, None, {"uses": 50.0, "mood": 0.0}),
        ({"rules": [HUGE]}, None, None, {"uses": 50.0, "mood": 0.0, "huge": -50.0}),
        ({"rules": [OF_SIZE]}, None, None, {"uses": 50.0, "mood": 0.0, "of_size": -40.0}),
        ({"rules": [BAD_MOOD | {"cap": 100}]}, None, 40, {"uses": 33.33, "mood": 13.37}),
    ],
)
def test_what_each_part_gives_and_takes(
    card_has: dict[str, Any], share: float | None, mood: float | None, expected: dict[str, float]
) -> None:
    given = {"share": share, "score": mood}
    told = says(**{name: value for name, value in given.items() if value is not None})
    size = event("acme", START, "account.updated", properties={"size": 1})
    record = health(card(**card_has), tick(START), *uses(5), told, size)
    parts = contributions(record)
    assert {name: part for name, part in parts.items() if name in expected} == pytest.approx(
        expected, abs=0.041
    )
    assert record["score"] == pytest.approx(sum(parts.values()), abs=1e-9)
    assert set(parts) - set(expected) <= {"bad_mood"}, "a rule that takes nothing is shown too"


def test_without_the_gates_metric_there_is_no_score_but_its_drivers_are_shown() -> None:
    record = health(card(**GATE), tick(START), *uses(5))
    assert (record["score"], record["band"], record["building_history"]) == (None, None, True)
    assert [driver["score"] for driver in record["drivers"]] == [50.0, None, None]
    assert contributions(record) == {"uses": 0.0, "mood": 0.0, "share": 0.0}
    known = health(card(**GATE), tick(START), *uses(5), tick(START + 1), says(share=0))
    assert (known["score"], known["building_history"]) == (50.0, False)
    assert {driver["measure"]: driver["change"] for driver in known["drivers"]} == {
        "uses": 50.0,
        "mood": 0.0,
        "share": 0.0,
    }


@pytest.mark.parametrize(("count", "points"), [(0, 20), (1, 20), (2, 60), (4, 60), (5, 90)])
def test_steps_hold_up_to_the_next(count: int, points: float) -> None:
    steps = {"weight": 1, "steps": [[1, 20], [2, 60], [5, 90]]}
    dimensions = {"use": {"weight": 1, "measures": {"uses": steps}}}
    stepped = config(document(METRICS, {"id": "all", "dimensions": dimensions}))
    assert health(stepped, tick(START), *uses(count), says(score=1))["score"] == points


def overridden(score: float | None, at: int, lasts: int = 40 * DAY) -> Record:
    moment = {"expires_at": at_time(at + lasts)} if score is not None else {}
    properties = {"score": score, "author": "ana", "reason": "They told us."} | moment
    return event("acme", at, "account.overridden", id=f"o{at}", properties=properties)


def test_an_override_adds_what_is_missing_and_keeps_the_computed_score_beside_it() -> None:
    record = health(card(), tick(START), *uses(5), tick(START + 1), overridden(80, START + 1))
    assert (record["score"], record["computed_score"]) == (80.0, 50.0)
    assert contributions(record) == {"uses": 50.0, "mood": 0.0, "override": 30.0}
    (driver,) = [each for each in record["drivers"] if each["measure"] == "override"]
    assert driver["causes"] == [{"cause": "override", "change": 30.0}]
    assert driver["reason"] == "They told us."
    unknown = health(card(**GATE), tick(START), *uses(5), overridden(80, START))
    assert (unknown["score"], unknown["computed_score"]) == (80.0, None)
    assert unknown["building_history"] is True


def test_the_end_of_an_override_is_its_own_cause_and_nothing_else_moved() -> None:
    told = [card(), tick(START), *uses(5), overridden(80, START, lasts=DAY), tick(START + 1)]
    record = both(*told, tick(START + 2 * DAY)).health["acme"]
    assert (record["score"], record["override"], record["computed_score"]) == (50.0, None, None)
    moved = {each["measure"]: each["causes"] for each in record["drivers"] if each["causes"]}
    assert moved == {"override": [{"cause": "override", "change": -30.0}]}


def test_what_only_time_changed_has_no_other_cause() -> None:
    told = [card(), tick(START), *uses(5), says(score=33)]
    record = both(*told, tick(START + 30 * DAY)).health["acme"]
    assert record["score"] == 11.0
    causes = [cause["cause"] for each in record["drivers"] for cause in each["causes"]]
    assert set(causes) == {"time"}


def test_two_hundred_measures_are_scored_like_one() -> None:
    metrics: dict[str, Any] = {}
    for number in range(50):
        where = {"where": {"feature": f"f{number}"}}
        metrics[f"uses_{number}"] = {"count": "*", "window": "28d", **where}
        metrics[f"days_{number}"] = {"days": "*", "window": "90d", **where}
        metrics[f"amount_{number}"] = {"sum": f"amount_{number}", "of": "*", "window": "7d"}
        metrics[f"silent_{number}"] = {"since_last": "*", **where}
    curve = [[0, 100], [3, 0]]
    dimensions = {
        f"part_{at}": {
            "weight": 1 + at,
            "measures": {
                name: {"weight": 1 + place % 3, "curve": curve}
                for place, name in enumerate(sorted(metrics)[at::4])
            },
        }
        for at in range(4)
    }
    events = [
        event(
            f"account-{number % 7}",
            START + number,
            id=f"e{number}",
            properties={"feature": f"f{number % 60}", f"amount_{number % 50}": number / 7},
        )
        for number in range(300)
    ]
    settings = config(document(metrics, {"id": "all", "dimensions": dimensions}))
    said = both(settings, tick(START), *events, tick(START + DAY), tick(START + 9 * DAY))
    assert {len(health["drivers"]) for health in said.health.values()} == {200}
