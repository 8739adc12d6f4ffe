"""Values and scores, line by line of docs/scoring.md, with the numbers worked out by hand."""

from typing import Any

import pytest

from tests.scoring.documents import document
from tests.scoring.histories import START, Record, config, event, one, tick
from tests.scoring.twins import both, value


def card_of(points: dict[str, float | None], weights: dict[str, float]) -> Record:
    """A configuration whose measures each score a constant, or are unknown where it is None."""
    never = {"latest": "x", "of": "never"}
    metrics = {
        name: never if each is None else {"count": "report.run", "window": "1d"}
        for name, each in points.items()
    }
    measures = {
        name: {"weight": weights[name], "curve": [[0, each or 0]]} for name, each in points.items()
    }
    card = {"id": "all", "dimensions": {"use": {"weight": 1, "measures": measures}}}
    return config(document(metrics, card))


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ((100, 100, 100), (33.34, 33.33, 33.33)),  # a tie goes to the earlier one
        ((50, 50, 49.9), (16.68, 16.68, 16.64)),  # 49.97 became 50.0, so there is more to share
        ((0, 0, 0), (0, 0, 0)),
        ((0, 100, 100), (0, 33.35, 33.35)),
        ((None, 100, 50), (0, 50, 25)),  # what is unknown takes no part
        ((0.1, 0, 0), (0, 0, 0)),  # a score of 0.0 has no contributions
        ((1, 2, 97), (0.33, 0.67, 32.3)),
    ],
)
def test_contributions_add_up_by_largest_remainder(
    points: tuple[float | None, ...], expected: tuple[float, ...]
) -> None:
    names = ("a", "b", "c")
    settings = card_of(dict(zip(names, points, strict=True)), dict.fromkeys(names, 1.0))
    health = both(settings, tick(START), event("acme", START), tick(START + 1)).health["acme"]
    shares = tuple(driver["contribution"] for driver in health["drivers"])
    assert shares == expected
    assert sum(round(100 * share) for share in shares) == round(100 * health["score"])


@pytest.mark.parametrize(
    ("points", "score", "coverage"),
    [
        ({"a": 80.0, "b": None}, 80.0, 0.75),
        ({"a": None, "b": 20.0}, 20.0, 0.25),
        ({"a": None, "b": None}, None, 0.0),
        ({"a": 100.0, "b": 0.0}, 75.0, 1.0),
    ],
)
def test_what_is_unknown_gives_its_weight_to_the_rest(
    points: dict[str, float | None], score: float | None, coverage: float
) -> None:
    settings = card_of(points, {"a": 3.0, "b": 1.0})
    health = both(settings, tick(START), event("acme", START), tick(START + 1)).health["acme"]
    assert (health["score"], health["coverage"]) == (score, coverage)
    assert (health["band"] is None) == (score is None)


@pytest.mark.parametrize(
    ("number", "score"),
    [(-5, 10), (0, 10), (1, 15), (2, 20), (3, 60), (4, 100), (4.5, 50), (5, 0), (99, 0)],
)
def test_a_curve_is_linear_between_its_points_and_level_outside(
    number: float, score: float
) -> None:
    settings = one({"latest": "x", "of": "a"}, ([0, 10], [2, 20], [4, 100], [5, 0]))
    told = event("acme", START, "a", properties={"x": number})
    assert both(settings, told, tick(START)).health["acme"]["score"] == score


@pytest.mark.parametrize(
    ("number", "score", "band"),
    [
        (70, 70.0, "healthy"),
        (69.95, 70.0, "healthy"),  # rounded before anything compares
        (69.94, 69.9, "watch"),
        (50.5, 50.5, "watch"),
        (50.4, 50.4, "at_risk"),
        (29.9, 29.9, "critical"),
        (0, 0.0, "critical"),
    ],
)
def test_a_band_begins_at_its_limit(number: float, score: float, band: str) -> None:
    settings = one({"latest": "x", "of": "a"}, ([0, 0], [100, 100]))
    health = both(settings, event("acme", START, "a", properties={"x": number}), tick(START))
    assert (health.health["acme"]["score"], health.health["acme"]["band"]) == (score, band)


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (3, 3.0),
        (-2.5, -2.5),
        ("3.25", 3.25),
        ("-4", -4.0),
        ("1e3", None),
        ("+1", None),
        (".5", None),
        ("5.", None),
        (" 5", None),
        ("5\n", None),
        ("٣", None),
        ("", None),
        (True, None),
        (None, None),
        ([1], None),
        (1e9, 1e9),
        (1e9 + 1, None),
        ("1000000001", None),
        (10**30, None),
    ],
)
def test_what_counts_as_a_number(given: Any, number: float | None) -> None:
    settings = one({"latest": "x", "of": "a"})
    told = event("acme", START, "a", properties={"x": given})
    assert value(both(settings, told, tick(START))) == number


def test_sums_are_of_millionths_rounded_to_even() -> None:
    settings = one({"sum": "x", "of": "a", "window": "1d"})
    halves = [5e-7, 1.5e-6, 2.5e-6]  # 0, 2 and 2 millionths
    told = [event("acme", START, "a", id=str(x), properties={"x": x}) for x in halves]
    assert value(both(settings, *told, tick(START))) == 4e-6


@pytest.mark.parametrize(
    ("values", "different"),
    [
        ([1, 1.0, "1", True], 3),
        ([0, -0.0, False, "0", ""], 4),
        ([None, [1], {"a": 1}], 0),
        ([1e300, 1e300, 2.5, "2.5"], 3),
        ([2**53, 2**53 + 1], 2),
        (["é", "e\u0301"], 2),
    ],
)
def test_which_values_are_different(values: list[Any], different: int) -> None:
    settings = one({"distinct": "x", "of": "a", "window": "1d"})
    told = [
        event("acme", START, "a", id=str(number), properties={"x": each})
        for number, each in enumerate(values)
    ]
    assert value(both(settings, *told, tick(START))) == different


@pytest.mark.parametrize(
    ("wanted", "given", "matches"),
    [(1, 1.0, 1), (1, True, 0), (True, True, 1), (True, 1, 0), ("1", 1, 0), (0, None, 0)],
)
def test_where_keeps_what_is_equal_in_json(wanted: Any, given: Any, matches: int) -> None:
    settings = one({"count": "a", "where": {"x": wanted}, "window": "1d"})
    told = event("acme", START, "a", properties={"x": given})
    assert value(both(settings, told, tick(START))) == matches
