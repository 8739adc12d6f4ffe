"""A small history with all that a real one has: rhythms, gaps, fades, returns, and bad lines."""

import gzip
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FIRST_DAY = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 170
ACCOUNTS = 24
BAD_LINES = {
    "undecodable": b'{"id": "bad-1", "type": ',
    "missing_id": b'{"type": "page.viewed", "account_id": "acme", "time": "2025-04-01T08:00:00Z"}',
    "bad_time": b'{"id": "bad-3", "type": "page.viewed", "account_id": "acme", "time": "noon"}',
}


def events(seed: int = 7) -> Iterator[dict[str, Any]]:
    """Native events, ascending in time; the same ones for the same seed."""
    chance = random.Random(seed)
    found = [event for account in range(ACCOUNTS) for event in _life(chance, account)]
    found.sort(key=lambda event: (event["time"], event["id"]))
    yield from found


def write(path: Path, seed: int = 7) -> dict[str, int]:
    """Write it as .ndjson.gz, with bad lines and one event in fifty twice; counts by fate."""
    counts = {"accepted": 0, "duplicates": 0, **dict.fromkeys(BAD_LINES, 1)}
    chance = random.Random(seed)
    with gzip.open(path, "wb", compresslevel=1) as file:
        for number, event in enumerate(events(seed)):
            line = json.dumps(event).encode()
            file.write(line + b"\n")
            counts["accepted"] += 1
            if chance.random() < 0.02:
                file.write(line + b"\n")
                counts["accepted"] += 1
                counts["duplicates"] += 1
            if number == 500:
                file.write(b"\n".join(BAD_LINES.values()) + b"\n")
    return counts


def _life(chance: random.Random, number: int) -> Iterator[dict[str, Any]]:
    account_id = f"account-{number:02}"
    begins = chance.randrange(40)
    fades_at = chance.randrange(60, DAYS) if number % 3 == 0 else DAYS
    gap = range(70, 130) if number % 5 == 1 else range(0)
    seats = chance.choice((3, 12, 60))
    profile = {
        "name": f"Account {number}",
        "size": {3: "S", 12: "M", 60: "E"}[seats],
        "seats": seats,
        "mrr": f"{seats * 40}.00",
        "currency": "EUR",
        "renews_on": "2025-12-31",
        **({"csm": f"csm-{number % 4}@example.com"} if number % 4 else {}),
    }
    yield _event(account_id, "profile", FIRST_DAY + timedelta(days=begins), None, profile)
    for day in range(begins, DAYS):
        if day in gap or (day >= fades_at and chance.random() < 0.97):
            continue
        quiet = (FIRST_DAY + timedelta(days=day)).weekday() >= 5
        for use in range(chance.randrange(1 if quiet else 4)):
            at = FIRST_DAY + timedelta(days=day, seconds=chance.randrange(86_400))
            user_id = f"user-{chance.randrange(seats)}"
            feature = f"feature-{chance.randrange(8)}"
            yield _event(account_id, f"{day}-{use}", at, user_id, {"feature": feature})


def _event(
    account_id: str, name: str, at: datetime, user_id: str | None, properties: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": f"{account_id}:{name}",
        "type": "feature.used" if user_id else "account.updated",
        "account_id": account_id,
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "source": "product",
        "properties": properties,
        **({"user_id": user_id} if user_id else {}),
    }
