"""What the oracle says of every account on a few days, without closing the others."""

import json
from datetime import date
from typing import Any

import yaml

from shared.configuration.files import SHIPPED
from tests.scoring.documents import ROUTING
from tests.scoring.histories import DAY, Record, config, tick
from tests.scoring.oracle import SCORING, Oracle
from tests.scoring.oracle_records import milliseconds
from tests.scoring.twins import Row, row_of

DATES = 10


def document() -> dict[str, Any]:
    """The shipped scoring configuration."""
    shipped = {part: yaml.safe_load((SHIPPED / f"{part}.yaml").read_text()) for part in SCORING}
    return shipped | {"alerts": {}, "routing": ROUTING}


def ten_days(events: list[Record]) -> list[int]:
    """Ten days between the first event and the last closed day, which is among them."""
    first, last = (milliseconds(json.loads(events[at][1])["time"]) // DAY for at in (0, -1))
    return [first + (last - 1 - first) * number // DATES for number in range(1, DATES + 1)]


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
    return {(account, day): (*row_of(row), False) for account, row in found.items()}


def day_number(text: str) -> int:
    """A date as the number of its day, from 1970-01-01."""
    return date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()
