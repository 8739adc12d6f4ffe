"""When a live tick may be written: a driven clock, a driven log."""

from services.ingest.ticks import Progress, Ticker
from tests.ingest.running import NOW_MS

MINUTE_MS = 60_000
NEXT_MINUTE_MS = NOW_MS - NOW_MS % MINUTE_MS + MINUTE_MS


def after_first() -> Ticker:
    ticker = Ticker()
    ticker.due(NOW_MS, Progress(1, 0, 0))
    assert ticker.due(NOW_MS, Progress(2, 0, 0)) == NOW_MS
    ticker.written()
    return ticker


def test_the_first_tick_is_of_the_moment_and_waits_for_an_answer_after_it() -> None:
    ticker = Ticker()
    assert ticker.due(NOW_MS, Progress(None, None, 0)) is None
    assert ticker.due(NOW_MS + 1, Progress(None, None, 0)) is None
    assert ticker.due(NOW_MS + 200, Progress(7, 0, 0)) == NOW_MS


def test_the_next_ones_are_whole_minutes() -> None:
    ticker = after_first()
    assert ticker.due(NEXT_MINUTE_MS - 1, Progress(3, 0, 0)) is None
    assert ticker.due(NEXT_MINUTE_MS + 150, Progress(3, 0, 0)) is None
    assert ticker.due(NEXT_MINUTE_MS + 300, Progress(4, 0, 0)) == NEXT_MINUTE_MS
    ticker.written()
    assert ticker.due(NEXT_MINUTE_MS + 400, Progress(5, 0, 0)) is None


def test_while_behind_there_is_none_and_then_that_of_the_time_that_was_taken() -> None:
    ticker = after_first()
    ticker.due(NEXT_MINUTE_MS, Progress(3, 90, 50))
    assert ticker.due(NEXT_MINUTE_MS + 100, Progress(4, 100, 50)) is None
    assert ticker.due(NEXT_MINUTE_MS + 2 * MINUTE_MS, Progress(5, 900, 99)) is None
    assert ticker.due(NEXT_MINUTE_MS + 2 * MINUTE_MS, Progress(6, 900, 100)) == NEXT_MINUTE_MS
    ticker.written()
    ticker.due(NEXT_MINUTE_MS + 2 * MINUTE_MS, Progress(6, 900, 900))
    due = ticker.due(NEXT_MINUTE_MS + 2 * MINUTE_MS, Progress(7, 900, 900))
    assert due == NEXT_MINUTE_MS + 2 * MINUTE_MS


def test_a_watermark_from_before_the_time_does_not_count() -> None:
    ticker = after_first()
    assert ticker.due(NEXT_MINUTE_MS, Progress(3, 10, 10)) is None
    assert ticker.due(NEXT_MINUTE_MS + 50, Progress(3, 10, 10)) is None
    assert ticker.due(NEXT_MINUTE_MS + 99, Progress(4, 11, 10)) is None
    assert ticker.due(NEXT_MINUTE_MS + 120, Progress(4, 11, 11)) == NEXT_MINUTE_MS


def test_a_wall_clock_that_falls_back_writes_nothing_twice() -> None:
    ticker = after_first()
    ticker.due(NEXT_MINUTE_MS, Progress(3, 0, 0))
    ticker.due(NEXT_MINUTE_MS, Progress(4, 0, 0))
    ticker.written()
    assert ticker.due(NEXT_MINUTE_MS - MINUTE_MS, Progress(5, 0, 0)) is None
    assert ticker.due(NEXT_MINUTE_MS + 1, Progress(6, 0, 0)) is None
