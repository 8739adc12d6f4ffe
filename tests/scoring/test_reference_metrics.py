"""The engine's metrics against those that a published churn simulator computed with its own SQL.

MYAKU_TEST_DATA names a directory with crm6.parquet (1,759,706 events of 230 accounts) and
crm6.metrics.parquet (the SQL's values, each with a definition that states its window). Without it
there is nothing to compare, and the test is skipped. docs/truth.md shows what is compared.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq
import pytest

from services.scoring.backtest.accepted import Acceptance
from services.scoring.engine import RawRecord, State, advance, decode
from services.scoring.engine.calendar import EPOCH, iso_day
from services.scoring.engine.measure import measure
from shared.events import CONFIG, TICK, Config, Tick, encode
from shared.history.lines import Line
from shared.history.merge import merge, survey
from shared.history.ticks import with_ticks
from tests.scoring.documents import document

DATA = os.environ.get("MYAKU_TEST_DATA")
LATEST_MS = 2_000_000_000_000
COUNTED = ("add_lead", "call_lead", "email_list", "lose_opportunity", "meeting", "search")
COUNTS = {f"{kind}_per_month": {"count": kind, "window": "28d"} for kind in COUNTED}
PER_DAY = {
    f"events_per_day.{kind}": {"count": kind, "window": "1d"}
    for kind in ("lose_opportunity", "search", "win_opportunity")
}
METRICS: dict[str, dict[str, Any]] = {
    **COUNTS,
    "win_opportunity_per_month": {"count": "win_opportunity", "window": "28d"},
    "win_opportunity_value_28d": {"sum": "amount", "of": "win_opportunity", "window": "28d"},
    "win_opportunity_per_search": {"ratio": ["win_opportunity_per_month", "search_per_month"]},
    "search_pcnt_change_4w": {"change": "search_per_month", "against": "28d"},
    "active_users": {"users": "*", "window": "28d"},
    "days_since_search": {"since_last": "search"},
    "days_since_win_opportunity": {"since_last": "win_opportunity"},
    "search_28day_avg_84day_obs": {"count": "search", "window": "84d", "per": "28d"},
    **{name.replace(".", "_"): metric for name, metric in PER_DAY.items()},
}
OF_THE_DAY = {"days_since_search", "days_since_win_opportunity", *PER_DAY}
"""Those that include the day d: the close of d has them. The close of d − 1 has the others, also
those over (d − 28d, d] and (d − 84d, d]: for the SQL, d is the midnight at which the day begins."""

Values = dict[tuple[str, str, int], float]
"""By metric, account and the day d."""


def reference() -> Values:
    """What the SQL says, of the metrics that have a counterpart."""
    rows = pq.read_table(Path(DATA or "") / "crm6.metrics.parquet").to_pylist()
    return {
        (row["metric"], row["account_id"] or "", (row["date_to"].date() - EPOCH).days): float(
            np.float32(row["value"])
        )
        for row in rows
        if row["metric"].replace(".", "_") in METRICS
    }


def ours(days: set[int]) -> Values:
    """What the engine says of every account, at the closes that the days need."""
    path = Path(DATA or "") / "crm6.parquet"
    values: Values = {}
    state = State(0, hash_seed=0)
    config = encode(Config("", document(METRICS)))
    advance(state, decode([RawRecord(0, CONFIG.encode(), config)], state), lambda _: 0)
    for records in batches(path):
        advance(state, decode(records, state), lambda _: 0)
        closed = state.day - 1
        if records[-1].key == TICK.encode() and not {closed, closed + 1}.isdisjoint(days):
            values |= dict(measured(state, closed))
    return values


def batches(path: Path) -> Iterator[list[RawRecord]]:
    """The file's events as records, a day at a time, each day with the tick that closes it."""
    acceptance = Acceptance(LATEST_MS)
    records: list[RawRecord] = []
    lines = merge([survey(path, LATEST_MS)], LATEST_MS, path.parent)
    for number, item in enumerate(with_ticks(lines, ZoneInfo("UTC"), 1)):
        if isinstance(item, Tick):
            yield [*records, RawRecord(number, TICK.encode(), encode(item))]
            records = []
            continue
        assert isinstance(item, Line)
        event = acceptance.accept(item)
        assert event is not None
        records.append(RawRecord(number, event.account_id.encode(), event.value))


def measured(state: State, closed: int) -> Iterator[tuple[tuple[str, str, int], float]]:
    """Every metric of every account just after a day has closed; what is unknown is left out."""
    assert state.plan is not None
    found = measure(state, np.arange(state.accounts.count))
    for column, values in zip(state.plan.columns, found.tolist(), strict=True):
        metric = column.name.replace("events_per_day_", "events_per_day.")
        day = closed if metric in OF_THE_DAY else closed + 1
        for account, value in zip(state.accounts.ids, values, strict=True):
            if value == value:
                yield (metric, account, day), as_in_sql(metric, value)


def as_in_sql(metric: str, value: float) -> float:
    """The SQL's numbers are of single precision; its change is a difference of such."""
    if metric == "search_pcnt_change_4w":
        return float(np.float32(value + 1) - np.float32(1))
    return float(np.float32(value))


def with_totals(values: Values) -> Values:
    """The counts of one day are compared over all accounts together, as the SQL has them."""
    total: Values = defaultdict(float)
    for (metric, account, day), value in values.items():
        total[metric, "" if metric in PER_DAY else account, day] += value
    return total


@pytest.mark.skipif(DATA is None, reason="MYAKU_TEST_DATA names no directory of histories")
def test_every_metric_that_has_a_counterpart_equals_it_for_every_account_and_date() -> None:
    expected = reference()
    found = with_totals(ours({day for _, _, day in expected}))
    wrong = [
        (metric, account, iso_day(day), value, found.get((metric, account, day)))
        for (metric, account, day), value in expected.items()
        if value != found.get((metric, account, day))
    ]
    assert not wrong, wrong[:20]
    compared = {(metric, day) for metric, _, day in expected}
    more = [key for key in found.keys() - expected.keys() if found[key] and key[::2] in compared]
    assert not more, sorted(more)[:20]
    assert {metric.replace(".", "_") for metric, _, _ in expected} == set(METRICS)
