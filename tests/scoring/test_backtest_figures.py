"""The figures of a backtest against their definitions, counted pair by pair and one by one."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.backtest.cutoffs import Cutoff, cutoffs
from services.scoring.backtest.figures import (
    LEAST_OF_EACH,
    Paired,
    auc,
    bins,
    calibration_error,
    figures,
    lift,
    mean,
    paired,
)
from tests.scoring.dates import day_number

SAID = st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.3, 0.5, 0.77, 0.999, 1.0])
ROWS = st.lists(st.tuples(SAID, st.booleans()), min_size=2, max_size=60)


def columns(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    said, happened = zip(*rows, strict=True)
    return np.array(said), np.array(happened)


@given(ROWS)
def test_auc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[float, bool]]) -> None:
    came = [said for said, happened in rows if happened]
    others = [said for said, happened in rows if not happened]
    if not came or not others:
        return
    wins = sum((one > other) + (one == other) / 2 for one in came for other in others)
    assert auc(*columns(rows)) == pytest.approx(wins / (len(came) * len(others)), abs=1e-12)


@given(ROWS)
def test_lift_is_that_of_the_mean_over_all_orders_of_equal_numbers(
    rows: list[tuple[float, bool]],
) -> None:
    if not any(happened for _, happened in rows):
        return
    size = -(-len(rows) // 10)
    limit = sorted((said for said, _ in rows), reverse=True)[size - 1]
    sure = [happened for said, happened in rows if said > limit]
    equal = [happened for said, happened in rows if said == limit]
    hits = sum(sure) + (size - len(sure)) * sum(equal) / len(equal)
    base = sum(happened for _, happened in rows) / len(rows)
    assert lift(*columns(rows)) == pytest.approx(hits / size / base, abs=1e-12)


@given(ROWS)
def test_every_account_is_in_one_bin_and_the_error_is_the_mean_gap(
    rows: list[tuple[float, bool]],
) -> None:
    found = bins(*columns(rows))
    assert [bin.n for bin in found] == [
        sum(bin.low <= said < bin.high or (said == 1 and bin.high == 1) for said, _ in rows)
        for bin in found
    ]
    gap = 0.0
    for bin in found:
        inside = [r for r in rows if bin.low <= r[0] < bin.high or (r[0] == 1 and bin.high == 1)]
        gap += abs(sum(said - happened for said, happened in inside))
    assert calibration_error(found) == pytest.approx(gap / len(rows), abs=1e-12)


def test_a_ranking_of_too_few_of_either_outcome_is_no_figure() -> None:
    rows = [(0.9, True)] * (LEAST_OF_EACH - 1) + [(0.1, False)] * 20
    few = figures(*columns(rows))
    enough = figures(*columns([*rows, (0.95, True)]))
    assert (few.auc, few.lift, few.n) == (None, None, 22)
    assert (enough.auc, enough.n) == (1.0, 23)
    assert figures(np.array([]), np.array([], dtype=bool)).ece is None


def test_means_leave_out_what_is_unknown_and_errors_need_two() -> None:
    assert mean([0.5, None, 0.7]) == pytest.approx(0.6)
    assert mean([None]) is None
    assert paired([]) == Paired(None, None)
    assert paired([0.25]) == Paired(0.25, None)
    assert paired([0.1, 0.3]) == pytest.approx(Paired(0.2, 0.1))


def test_the_cutoffs_of_a_long_history_are_quarters_after_its_first_year() -> None:
    first, last = day_number("2012-12-15"), day_number("2024-10-24")
    found = cutoffs(first, last, 90)
    assert found[0] == Cutoff(day_number("2014-01-01"), day_number("2014-04-01"), is_test=False)
    assert found[-1] == Cutoff(day_number("2024-07-01"), day_number("2024-09-29"), is_test=True)
    assert len(found) == 43
    assert next(each for each in found if each.is_test).day == day_number("2016-07-01")


def test_the_cutoffs_of_a_short_history_begin_after_a_quarter_of_it() -> None:
    found = cutoffs(day_number("2022-01-01"), day_number("2022-12-31"), 90)
    assert [each.day for each in found] == [day_number("2022-07-01"), day_number("2022-10-01")]
    assert all(each.is_test for each in found)
    assert not cutoffs(day_number("2022-01-01"), day_number("2022-03-31"), 90)


@pytest.mark.parametrize(("horizon", "months"), [(7, 1), (30, 1), (60, 2), (180, 6), (365, 12)])
def test_the_cutoffs_are_about_a_horizon_apart(horizon: int, months: int) -> None:
    found = cutoffs(day_number("2010-01-01"), day_number("2024-12-31"), horizon)
    apart = {after.day - before.day for before, after in pairwise(found)}
    assert {round(days / 30.4) for days in apart} == {months}
