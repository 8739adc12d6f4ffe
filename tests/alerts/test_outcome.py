"""What follows from an answer, or from none."""

import pytest

from services.alerts.delivery.outcome import (
    MAIL_PAUSES_SECONDS,
    PAUSES_SECONDS,
    pause_ms,
    retry_after_seconds,
)
from tests.alerts.world import MINUTE_MS


@pytest.mark.parametrize("schedule", [PAUSES_SECONDS, MAIL_PAUSES_SECONDS])
def test_pauses_are_those_of_the_schedule_within_a_fifth_and_end(schedule: tuple[int, ...]) -> None:
    for failures, seconds in enumerate(schedule, 1):
        pauses = {pause_ms(f"msg_{number}", failures, schedule) for number in range(50)}
        assert len(pauses) > 10
        assert all(800 * seconds <= (pause or 0) <= 1200 * seconds for pause in pauses)
    assert pause_ms("msg_1", len(schedule) + 1, schedule) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("soon", None),
        ("30", 30),
        ("0", 1),
        ("-5", 1),
        ("999999", 86_400),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 60),
        ("Mon, 01 Jan 99999999999999 00:00:00 GMT", None),
        ("Mon, 99999999999999999999 Jan 2026 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: int | None) -> None:
    assert retry_after_seconds(header, MINUTE_MS) == seconds
