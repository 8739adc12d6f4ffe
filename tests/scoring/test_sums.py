"""Day sums, however narrow their days are kept, against adding everything up."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.engine.plan import Window
from services.scoring.engine.sums import DaySums, packed

ACCOUNTS = 5
WINDOWS = (Window(0, 1, 0), Window(0, 28, 0), Window(0, 30, 3), Window(0, 120, 61))
AMOUNTS = st.sampled_from((1, 1, 1, -1, 127, 10**6, 3 * 10**6, 128 * 10**6, 10**15, -(10**15), 7))

additions = st.tuples(
    st.just("add"),
    st.lists(st.tuples(st.integers(0, ACCOUNTS - 1), AMOUNTS), min_size=1, max_size=4),
    st.sampled_from((0, 0, 0, 1, 2, 3, 29, 30, 60, 119, 120)),
)
turns = st.tuples(st.just("turn"), st.integers(1, 40))


@given(st.lists(st.one_of(additions, turns), max_size=40))
def test_every_day_and_window_is_the_sum_of_what_was_added(steps: list[Any]) -> None:
    day = 20_000
    sums = DaySums(1, 0, np.zeros(ACCOUNTS, np.int64))
    sums.recount(day, range(len(WINDOWS)), WINDOWS)
    plain: Counter[tuple[int, int]] = Counter()
    for what, *given_ in steps:
        if what == "turn":
            for _ in range(given_[0]):
                day += 1
                sums.turn(day, ACCOUNTS, WINDOWS)
        else:
            added, ago = given_
            accounts, amounts = (np.array(column) for column in zip(*added, strict=True))
            sums.add(day - ago, day, accounts, amounts, WINDOWS)
            for account, amount in added:
                plain[account, day - ago] += amount
    everyone = np.arange(ACCOUNTS)
    for ago in range(121):
        expected = [plain[account, day - ago] for account in range(ACCOUNTS)]
        assert sums.at(day - ago, day, everyone).tolist() == expected
    kept = {number: total.tolist() for number, total in sums.totals.items()}
    for number, window in enumerate(WINDOWS):
        days = range(day - window.first, day - max(window.last, 1) + 1)
        assert kept[number] == [sum(plain[at, d] for d in days) for at in range(ACCOUNTS)]
    sums.recount(day, range(len(WINDOWS)), WINDOWS)
    assert {number: total.tolist() for number, total in sums.totals.items()} == kept


@pytest.mark.parametrize(
    ("sums", "bytes_each", "unit"),
    [
        ([0, 1, 127], 1, 1),
        ([0, 128], 2, 1),
        ([-129, 5], 2, 1),
        ([10**6, 5 * 10**6], 1, 10**6),
        ([10**6, 1], 4, 1),
        ([10**15, 1], 8, 1),
        ([-(2**63), 2**63 - 1], 8, 1),
    ],
)
def test_a_closed_day_takes_as_few_bytes_as_its_sums_need(
    sums: list[int], bytes_each: int, unit: int
) -> None:
    column = packed(np.array(sums))
    assert (column.values.itemsize, column.unit) == (bytes_each, unit)
    assert (column.values.astype(np.int64) * column.unit).tolist() == sums
