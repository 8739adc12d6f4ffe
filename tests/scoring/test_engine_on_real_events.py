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

from services.scoring.engine import State
from shared.kafka import partition_of
from tests.scoring.dates import by_the_oracle, document, ten_days
from tests.scoring.histories import DAY, Record, config, event, tick
from tests.scoring.oracle_records import milliseconds
from tests.scoring.twins import Engine, Row

PARTITIONS = 4
EVENTS = os.environ.get("MYAKU_TEST_EVENTS")


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


@pytest.mark.skipif(EVENTS is None, reason="MYAKU_TEST_EVENTS names no file of events")
def test_every_account_stands_on_ten_dates_as_the_oracle_says() -> None:
    records = list(with_midnights(read_events()))
    events = [record for record in records if not record[0].startswith(b"myaku.")]
    days = ten_days(events)
    expected = by_the_oracle(events, days)
    history = by_the_engine([config(document()), *records])
    assert len({account for account, _ in history}) == len({record[0] for record in events})
    assert {key: row for key, row in history.items() if key[1] in days} == expected
