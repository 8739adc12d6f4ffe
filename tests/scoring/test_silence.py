"""Silence risk says what it was made to say."""

import numpy as np
import pytest

from services.scoring.engine.active_days import fade, fold_active_day, risk, turned
from services.scoring.engine.days import day_bits
from services.scoring.engine.silence import silence_risk
from services.scoring.engine.state import NEVER, ActiveDays
from tests.scoring import oracle_metrics

FIRST = 20_000
ONE = np.array([0])


def nobody() -> ActiveDays:
    bits, never = np.zeros(1, np.uint64), np.full(1, NEVER, np.int64)
    return ActiveDays(1, 0, bits, bits.copy(), never, never.copy(), np.zeros(1))


def turn(kept: ActiveDays, day: int) -> None:
    """As a close does: fade what leaves, empty the place of the day that begins."""
    fade(kept, day)
    low, high = day_bits(np.array([day]))
    kept.low &= ~low
    kept.high &= ~high


@pytest.mark.parametrize(
    ("active_days", "silent_days", "expected"),
    [(92.0, 14.0, 0.0729), (92.0, 30.0, 0.3005), (1.0, 1.0, 0.7706), (30.0, 1.0, 0.0182)],
)
def test_a_daily_user_a_newcomer_and_a_regular(
    active_days: float, silent_days: float, expected: float
) -> None:
    found = silence_risk(np.array([active_days]), np.array([silent_days]), 90)[0]
    assert found == pytest.approx(expected, abs=5e-5)


def test_a_life_of_years_reads_as_the_oracle_says_on_every_day() -> None:
    chance = np.random.default_rng(5)
    kept, active = nobody(), set()
    for day in range(FIRST, FIRST + 900):
        turn(kept, day)
        if chance.random() < (0.5 if day % 300 < 150 else 0.02):
            late = min(int(chance.integers(0, 120)), day - FIRST)
            fold_active_day(kept, ONE, day - late)
            active.add(day - late)
        found = risk(kept, ONE, day, 90)[0]
        expected = oracle_metrics.silence_risk(active, day, 90) if active else None
        assert found == pytest.approx(
            np.nan if expected is None else expected, rel=1e-12, nan_ok=True
        )
    assert len(active) > 200


@pytest.mark.parametrize("away", [0, 1, 7, 8, 119, 120, 121, 127, 128, 400])
def test_what_is_read_again_later_fades_as_what_stayed(away: int) -> None:
    kept = nobody()
    for day in range(FIRST, FIRST + 300):
        turn(kept, day)
        if day % 3:
            fold_active_day(kept, ONE, day)
    written, at_day = (kept.low.copy(), kept.high.copy(), kept.faded.copy()), FIRST + 299
    for day in range(at_day + 1, at_day + 1 + away):
        turn(kept, day)
    assert turned(*written, at_day, at_day + away).tolist() == kept.faded.tolist()
