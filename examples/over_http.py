"""Sends events over HTTP with nothing but Python's own library, and again where that is needed.

MYAKU_WRITE_KEY=… python3 examples/over_http.py [http://127.0.0.1:8081]
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8081"
NOW = datetime.now(UTC).isoformat(timespec="milliseconds")
ATTEMPTS = 5


def send(events: list[dict[str, Any]]) -> dict[str, Any]:
    """What became of each. The same events may be sent again: each id counts once."""
    request = urllib.request.Request(
        f"{URL}/v1/events",
        json.dumps(events).encode(),
        {"Authorization": f"Bearer {os.environ.get('MYAKU_WRITE_KEY', '')}"},
    )
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            why, pause_seconds = json.load(error)["detail"], error.headers.get("Retry-After", "5")
            if error.code not in (408, 429, 503):
                raise SystemExit(why) from None
        except OSError as error:
            why, pause_seconds = f"{URL} does not answer: {error}", "1"
        if attempt < ATTEMPTS:
            time.sleep(float(pause_seconds))
    raise SystemExit(why)


answer = send(
    [
        {
            "id": f"{NOW} 1",
            "type": "card.scanned",
            "account_id": "acme",
            "user_id": "u-1",
            "time": NOW,
        },
        {"id": f"{NOW} 2", "type": "card.scanned", "account_id": "acme", "user_id": "u-2"},
    ]
)
print(json.dumps(answer, indent=2))
