"""What a message blames: what got worse, never what does well or only lost weight."""

from typing import Any

import pytest
from msgspec.structs import replace

from services.alerts.decide import reference
from services.alerts.notifications import reasons
from services.alerts.wording import Facts
from shared.events import Driver, Health, ScorecardName

Row = tuple[str, float | None, float | None, float]  # measure, value, score, effective weight


def health(*rows: Row) -> Health:
    """A health of these measures; the score is what they come to."""
    drivers = [
        Driver(name, value, score, weight, round(weight * (score or 0), 2), 0.0, "events")
        for name, value, score, weight in rows
    ]
    fields: dict[str, Any] = {
        "account_id": "acme",
        "as_of": "2026-11-24T00:00:00.000Z",
        "sequence": 2,
        "score": round(sum(driver.contribution for driver in drivers), 1),
        "band": "watch",
        "coverage": 1.0,
        "mode": "live",
        "previous": None,
        "change_7d": None,
        "change_28d": None,
        "scorecard": ScorecardName("any_size", "sha256:1"),
        "dimensions": [],
        "drivers": drivers,
        "profile": {},
    }
    return Health(**fields)


WELL = health(
    ("days_silent", 0, 100, 0.6), ("login_rate_28d", 0.8, 90, 0.3), ("features_28d", 2, 40, 0.1)
)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(
            health(
                ("days_silent", 0, 100, 0.54),
                ("login_rate_28d", 0.8, 90, 0.27),
                ("features_28d", 2, 40, 0.09),
                ("nps", 0, 0, 0.1),
            ),
            ["Nps is 0, which costs 9.1 points."],
            id="a bad answer that was not known before, and takes weight from all others",
        ),
        pytest.param(
            health(
                ("days_silent", 0, 100, 0.2),
                ("login_rate_28d", 0.0012, 0.1, 0.7),
                ("features_28d", 2, 40, 0.1),
            ),
            ["Login rate in 28 days is 0.0012 (was 0.8), which costs 63.3 points."],
            id="another scorecard, on which what does well weighs less",
        ),
        pytest.param(
            health(
                ("days_silent", 30, 30, 0.6),
                ("login_rate_28d", 0.4, 50, 0.3),
                ("features_28d", 2, 40, 0.1),
            ),
            [
                "Days silent is 30 (was 0), which costs 42.0 points.",
                "Login rate in 28 days is 0.4 (was 0.8), which costs 12.0 points.",
            ],
            id="silence, and less use",
        ),
        pytest.param(
            health(("login_rate_28d", 0.8, 90, 0.75), ("features_28d", 2, 40, 0.25)),
            [
                "Features in 28 days is 2, which costs 7.7 points.",
                "Days silent is no longer measured.",
                "Login rate in 28 days is 0.8, which costs 0.5 points.",
            ],
            id="what did well is measured no more",
        ),
        pytest.param(
            health(
                ("days_silent", 9, 60, 0.64),
                ("login_rate_28d", 0.8, 90, 0.3),
                ("features_28d", 2, 40, 0.06),
                ("nps", 7, 84, 0.0042),
            ),
            ["Days silent is 9 (was 0), which costs 25.2 points."],
            id="an answer that counts for next to nothing",
        ),
    ],
)
def test_reasons_name_what_got_worse(now: Health, expected: list[str]) -> None:
    found = reasons(Facts(now, reference(WELL)))
    assert [reason.text for reason in found] == expected


def test_a_rule_of_the_scorecard_says_why_itself() -> None:
    cap = Driver("unhappy", None, None, 0.0, -51.0, -51.0, "events", reason="They are unhappy.")
    now = replace(WELL, score=40.0, drivers=[*WELL.drivers, cap])
    found = reasons(Facts(now, reference(WELL)))
    assert [reason.text for reason in found] == ["They are unhappy, which costs 51.0 points."]


def test_the_parts_together_are_the_move_of_the_score() -> None:
    now = health(("days_silent", 30, 30, 0.5), ("login_rate_28d", 0.2, 10, 0.5))
    found = reasons(Facts(now, reference(WELL)))
    assert now.score is not None
    assert WELL.score is not None
    lost_with_features = 4.0 - 0.1 * WELL.score  # it held the score down, and is gone
    moved = now.score - WELL.score
    assert round(sum(reason.change for reason in found), 2) == round(moved + lost_with_features, 2)
