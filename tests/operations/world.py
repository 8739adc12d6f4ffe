"""Eleven hours of a product, by the hour: what its backends send, and what should come of it."""

import json
from datetime import UTC, datetime
from typing import Any

from shared.times import iso_time
from tests.alerts.world import LEVELS
from tests.scoring.documents import document as scored

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
START_MS = int(datetime(2026, 3, 2, 20, tzinfo=UTC).timestamp() * 1000)
HOURS = 11

METRICS: dict[str, Any] = {
    "events_1d": {"count": "*", "window": "1d"},
    "features_2d": {"distinct": "feature", "of": "*", "window": "2d"},
    "silent": {"since_last": "*"},
    "nps": {"latest": "score", "of": "survey.answered", "where": {"survey": "nps"}},
}
SCORECARD = {
    "id": "all",
    "dimensions": {
        "voice": {"weight": 70, "measures": {"nps": {"weight": 1, "curve": [[0, 0], [10, 100]]}}},
        "use": {
            "weight": 30,
            "measures": {
                "events_1d": {"weight": 1, "curve": [[0, 0], [12, 100]]},
                "features_2d": {"weight": 1, "curve": [[0, 0], [12, 100]]},
                "silent": {"weight": 1, "curve": [[0, 100], [3, 0]]},
            },
        },
    },
}
RULE = {
    "id": "unhappy",
    "title": "{{ account.name }} is at {{ score }}",
    "kind": "threshold",
    "levels": LEVELS,
    "for": "0s",
    "clear_for": "1h",
    "play": "Call them.",
}
STEADY = [f"steady-{number}" for number in range(6)]
USED_AT = {
    # Who uses the product only while it is down: before midnight, after it, in its last hour.
    "evening": (3,),
    "midnight": (4,),
    "small-hours": (4, 5),
    "once": (0, 8),
    **{account: range(HOURS) for account in STEADY},
}
UNHAPPY_AT = {"early": 1, "during": 3, "late": 9}
"""Three detractors: before an outage, in it, and after it."""
ACCOUNTS = [*USED_AT, *UNHAPPY_AT]


def document(webhook: str) -> dict[str, Any]:
    """The configuration: all that is told goes to the webhook."""
    hook = {"type": "webhook", "url": webhook, "secret": "secret://hook"}
    routing = {"fallback": "ops", "destinations": {"hook": hook}, "to": ["hook"]}
    rules = {"alerts": {"rules": [RULE]}, "routing": routing}
    return {**scored(METRICS, SCORECARD), **rules}


def at_ms(hour: float) -> int:
    """The instant so many hours after the beginning."""
    return START_MS + round(hour * HOUR_MS)


def events(hour: int) -> list[bytes]:
    """What the backends send within the hour, a minute after it has struck."""
    found = []
    if hour == 0:  # first of all: nobody is to look unhappy between two of these
        found += [_event("survey.answered", hour, account, 10) for account in ACCOUNTS]
    found += [
        _event("page.viewed", hour, account) for account, hours in USED_AT.items() if hour in hours
    ]
    found += [
        _event("survey.answered", hour, account, 0)
        for account, unhappy_at in UNHAPPY_AT.items()
        if hour == unhappy_at
    ]
    return found


def _event(kind: str, hour: int, account: str, answer: int | None = None) -> bytes:
    properties: dict[str, Any] = {"feature": f"feature-{hour}"}
    if answer is not None:
        properties |= {"survey": "nps", "score": answer}
    event = {
        "id": f"{kind}-{account}-{hour}",
        "type": kind,
        "account_id": account,
        "user_id": f"user-of-{account}",
        "time": iso_time(at_ms(hour) + MINUTE_MS),
        "properties": properties,
    }
    return json.dumps(event).encode()
