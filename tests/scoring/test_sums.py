"""Day sums, however narrow their days are kept, against adding everything up."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.engine.plan import Window
from services.scoring.engine.sums import DaySums, packed
from tests.scoring.histories import DAY, START, event, one, tick
from tests.scoring.twins import by_engine, by_oracle, value

ACCOUNTS = 5
WINDOWS = (Window(0, 1, 0), Window(0, 28, 0), Window(0, 30, 3), Window(0, 120, 61))
STOP = 7 * 10**16  # at which a day's sum stops, in millionths
AMOUNTS = st.sampled_from(
    (1, 1, 1, -1, 127, 10**6, 3 * 10**6, 128 * 10**6, 10**15, -(10**15), 7, STOP, -STOP)
)

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
                there = plain[account, day - ago] + amount
                plain[account, day - ago] = min(max(there, -STOP), STOP)
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


@pytest.mark.parametrize("apart", [False, True])
def test_a_day_stops_at_its_bound_whatever_the_batches(apart: bool) -> None:
    most = {"amount": 10**9}
    first = [event("acme", START + at, id=f"a{at}", properties=most) for at in range(80)]
    less = [event("acme", START + 90, id="less", properties={"amount": -(10**9)})]
    second = [event("acme", START + DAY + at, id=f"b{at}", properties=most) for at in range(69)]
    late = [event("acme", START + 91, id=f"late{at}", properties=most) for at in range(3)]
    settings = one({"sum": "amount", "of": "*", "window": "28d"})
    records = [settings, tick(START), *first, *less, tick(START + DAY), *second, *late]
    told = event("acme", START + 92, "account.updated", id="told", properties={"name": "Acme"})
    records += [told, tick(START + DAY + 1)]
    batches = [[record] for record in records] if apart else [records]
    said = by_engine(batches)
    assert said == by_oracle(batches)
    assert value(said) == (70 + 69) * 1e9


def test_a_window_of_full_days_does_not_go_around() -> None:
    sums, whole = DaySums(1, 0, np.zeros(1, np.int64)), (Window(0, 120, 0),)
    sums.recount(0, [0], whole)
    for day in range(1, 200):
        sums.turn(day, 1, whole)
        for _ in range(200):
            sums.add(day, day, np.array([0]), np.array([10**15]), whole)
        assert int((sums.totals[0] + sums.running)[0]) == min(day, 121) * STOP


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
