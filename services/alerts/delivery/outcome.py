"""What came of an attempt to deliver, and what follows from it. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

Kind = Literal[
    "sent", "throttled", "transient", "unknown", "gone", "permanent", "unconfigured", "superseded"
]
PAUSES_SECONDS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""After the first, second, … failure; the one after the last of them is final."""
MAIL_PAUSES_SECONDS = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800)
"""The same where people read: what is half a day old helps nobody."""
JITTER_PERMILLE = 200
THROTTLE_SECONDS = 30
THROTTLE_SECONDS_MAX = 86_400
UNCONFIGURED_MS = 60_000


@dataclass(frozen=True)
class Outcome:
    """One attempt: `error` is empty where it succeeded; `retry_after_seconds` if it was asked."""

    kind: Kind
    error: str = ""
    http_status: int | None = None
    retry_after_seconds: int | None = None


def of_status(status: int, retry_after: str | None, now_ms: int) -> Outcome:
    """What an HTTP answer means."""
    if 200 <= status < 300:
        return Outcome("sent", "", status)
    error = f"The receiver answered {status}."
    asked = retry_after_seconds(retry_after, now_ms)
    if status == 429 or (status == 503 and asked is not None):
        return Outcome("throttled", error, status, asked or THROTTLE_SECONDS)
    if status == 410:
        return Outcome("gone", error, status)
    if status in (408, 425) or status >= 500 or status < 400:
        return Outcome("transient", error, status)
    return Outcome("permanent", error, status)


def retry_after_seconds(header: str | None, now_ms: int) -> int | None:
    """Seconds to wait, from 1 to a day: of a `Retry-After` in seconds or as a date; else None."""
    if header is None:
        return None
    try:
        seconds = int(header)
    except ValueError:
        try:
            until = parsedate_to_datetime(header)
            until = until if until.tzinfo else until.replace(tzinfo=UTC)
            seconds = round((until - datetime.fromtimestamp(now_ms / 1000, UTC)).total_seconds())
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 1), THROTTLE_SECONDS_MAX)


def pause_ms(notification_id: str, failures: int, pauses_seconds: Sequence[int]) -> int | None:
    """How long to wait after that many failures: the schedule, ± 20 %; None to give up."""
    if failures > len(pauses_seconds):
        return None
    spread = hashlib.sha256(f"{notification_id}:{failures}".encode()).digest()
    permille = int.from_bytes(spread[:4]) % (2 * JITTER_PERMILLE + 1) - JITTER_PERMILLE
    return pauses_seconds[failures - 1] * (1_000 + permille)
