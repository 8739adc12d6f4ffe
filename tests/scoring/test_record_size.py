"""No health record is beyond what a broker takes, whatever an account is told."""

import json
from typing import Any

from services.scoring.engine import State
from tests.scoring import histories
from tests.scoring.documents import document
from tests.scoring.histories import DAY, START, Record, config, event, tick
from tests.scoring.twins import Engine

WIDE = "\x01"
"""Takes six bytes in JSON, and nothing takes more."""
ACCOUNT = WIDE * 128


def crowded(mark: str) -> Record:
    """A configuration of which a record shows as much as may be."""
    names = [f"{mark}{number}".ljust(63, "_") for number in range(200)]
    curve = [[0, 0], [1, 100]]
    dimensions = {
        name: {"weight": 1, "measures": {name: {"weight": 1, "curve": curve}}} for name in names
    }
    when = {names[0]: {"at_least": 0}}
    rule = {"id": f"{mark}rule".ljust(63, "_"), "when": when, "cap": 10, "reason": WIDE * 500}
    card = {"id": "all".ljust(63, "_"), "dimensions": dimensions, "rules": [rule]}
    windows = {name: f"{at % 100 + 1}d" for at, name in enumerate(names)}
    return config(document({name: {"count": "*", "window": windows[name]} for name in names}, card))


def told(number: int, kind: str, properties: dict[str, Any], user: str | None = None) -> Record:
    identity = f"{kind}{number}"
    return event(ACCOUNT, START, kind, id=identity, user_id=user, properties=properties)


def test_the_largest_record_is_below_a_million_bytes() -> None:
    crowd = [
        told(number, "account.updated", {f"{WIDE * 100}{number}": WIDE * 60})
        for number in range(300)
    ]
    known = {"known_at": [f"{WIDE * 127}{number}" for number in range(10)]}
    joined = [
        told(number, "user.joined", known, f"{WIDE * 126}{number:02}") for number in range(60)
    ]
    override = {"score": 50, "author": WIDE * 500, "reason": WIDE * 500}
    override["expires_at"] = histories.at(START + 9 * DAY)
    engine = Engine(State(0, hash_seed=7))
    engine.read_batch([crowded("a"), tick(START), told(0, "used", {}), tick(START + 1)])
    effects = engine.read_batch(
        [*crowd, *joined, told(0, "account.overridden", override), crowded("b"), tick(START + 2)]
    )
    records = [value for _, value in effects.outbox if b"account_id" in value]
    shown = json.loads(records[0])
    assert (len(shown["profile"]), len(shown["signals"]), len(shown["drivers"])) == (200, 50, 403)
    assert 750_000 < len(records[0]) < 1_000_000
    assert len(records) == 2
