"""The shipped scorecards on years of real events: the engine and the oracle say the same.

MYAKU_TEST_EVENTS names a file of events in the order of their times, one JSON object a line
(.gz). Without it there is nothing to read, and the test is skipped.
"""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.scoring.engine import State
from shared.configuration.files import SHIPPED
from shared.kafka import partition_of
from tests.scoring.documents import ROUTING
from tests.scoring.histories import DAY, Record, config, event, tick
from tests.scoring.oracle import Oracle
from tests.scoring.oracle_records import milliseconds
from tests.scoring.twins import Engine, Row

PARTITIONS = 4
DATES = 10
EVENTS = os.environ.get("MYAKU_TEST_EVENTS")


def document() -> dict[str, Any]:
    """The shipped scoring configuration."""
    parts = ("product", "scorecards")
    shipped = {part: yaml.safe_load((SHIPPED / f"{part}.yaml").read_text()) for part in parts}
    return shipped | {"alerts": {}, "routing": ROUTING}


def read_events() -> list[dict[str, Any]]:
    """The file's events."""
    with gzip.open(Path(EVENTS or ""), "rt") as lines:
        return [json.loads(line) for line in lines]


def with_midnights(events: list[dict[str, Any]]) -> Iterator[Record]:
    """The events as records, and a tick at every midnight."""
    midnight = (milliseconds(events[0]["time"]) // DAY) * DAY
    for each in events:
        instant = milliseconds(each["time"])
        while midnight + DAY <= instant:
            midnight += DAY
            yield tick(midnight)
        rest = {name: each[name] for name in ("id", "user_id", "source", "properties")}
        yield event(each["account_id"], instant, each["type"], **rest)
    yield tick(midnight + DAY)


def by_the_engine(records: list[Record]) -> dict[tuple[str, int], Row]:
    """Every account's history, from four partitions."""
    history: dict[tuple[str, int], Row] = {}
    for partition in range(PARTITIONS):
        engine = Engine(State(partition, hash_seed=1), lambda account: partition_of(account, 4))
        ours = [
            record
            for record in records
            if record[0].startswith(b"myaku.") or engine.home_of(record[0].decode()) == partition
        ]
        for start in range(0, len(ours), 2000):
            engine.read_batch(ours[start : start + 2000])
        history |= engine.said().history
    return history


def by_the_oracle(events: list[Record], days: list[int]) -> dict[tuple[str, int], Row]:
    """Every account's row on some days: events are folded in turn, and nothing else is closed."""
    oracle = Oracle()
    history: dict[tuple[str, int], Row] = {}
    began = milliseconds(json.loads(events[0][1])["time"])
    oracle.read_batch([config(document())[1], tick(began)[1]])
    left = sorted(days)
    for _, value in events:
        told = json.loads(value)
        oracle.clock = milliseconds(told["time"])
        oracle.r = oracle.clock // DAY
        while left and oracle.r > left[0]:
            history |= rows(oracle, left.pop(0))
        oracle.fold(told)
    for day in left:
        history |= rows(oracle, day)
    return history


def rows(oracle: Oracle, day: int) -> dict[tuple[str, int], Row]:
    """What closing the day says of each account."""
    found = {account.id: oracle.evaluate(account, day + 1) for account in oracle.in_order()}
    return {
        (account, day): (row.tenths, row.band, row.coverage, row.scorecard, row.revision)
        for account, row in found.items()
    }


@pytest.mark.skipif(EVENTS is None, reason="MYAKU_TEST_EVENTS names no file of events")
def test_every_account_stands_on_ten_dates_as_the_oracle_says() -> None:
    records = list(with_midnights(read_events()))
    events = [record for record in records if not record[0].startswith(b"myaku.")]
    last = milliseconds(json.loads(records[-1][1])["time"]) // DAY - 1
    first = milliseconds(json.loads(events[0][1])["time"]) // DAY
    days = [first + (last - first) * number // DATES for number in range(1, DATES + 1)]
    expected = by_the_oracle(events, days)
    history = by_the_engine([config(document()), *records])
    assert len({account for account, _ in history}) == len({record[0] for record in events})
    assert {key: row for key, row in history.items() if key[1] in days} == expected
