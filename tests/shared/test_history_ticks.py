"""Ticks stand at each midnight of the product's time zone, and at the end."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring.engine.calendar import calendar
from shared.events import SOURCES_MAX, Tick
from shared.history.lines import NO_TIME, Line
from shared.history.ticks import midnights, with_ticks
from shared.times import iso_time, time_ms

UTC = ZoneInfo("UTC")
ZONES = (
    *("UTC", "Asia/Tokyo", "Europe/Berlin", "America/New_York"),
    "America/Sao_Paulo",  # summer time began at midnight
    "America/Havana",  # midnight came twice
    "Pacific/Apia",  # 2011-12-30 did not exist
    "America/Toronto",
)


def line(time: str, source: str = "app") -> Line:
    value = f'{{"time": "{time}", "source": "{source}"}}'
    return Line(time_ms(time), value.encode())


def shown(items: list[Line | Tick]) -> list[str]:
    return [item.time if isinstance(item, Tick) else "line" for item in items]


def test_a_tick_before_the_first_line_at_each_midnight_and_at_the_end() -> None:
    lines = [line("2026-01-01T10:00:00Z"), line("2026-01-03T00:00:00Z"), line("2026-01-03T01:00Z")]
    assert shown(list(with_ticks(lines, UTC, 4))) == [
        "2026-01-01T00:00:00.000Z",
        "line",
        "2026-01-02T00:00:00.000Z",
        "2026-01-03T00:00:00.000Z",
        "line",
        "line",
        "2026-01-03T01:00:00.000Z",
    ]


def test_lines_without_a_time_neither_wait_nor_tick() -> None:
    assert shown(list(with_ticks([Line(NO_TIME, b"x")], UTC, 4))) == ["line"]
    items = [
        Line(NO_TIME, b"x"),
        line("2026-01-01T10:00:00Z"),
        Line(time_ms("2026-01-01T10:00:00Z"), b"y"),
    ]
    assert shown(list(with_ticks(items, UTC, 4)))[0] == "line"
    assert shown(list(with_ticks(items, UTC, 4))).count("line") == 3


def test_a_tick_names_the_newest_time_of_each_source() -> None:
    lines = [
        line("2026-01-01T10:00:00Z", "app"),
        line("2026-01-01T11:00:00Z", "crm"),
        Line(time_ms("2026-01-01T12:00:00Z"), b'{"time": "2026-01-01T12:00:00Z"}'),
    ]
    *_, last = with_ticks(lines, UTC, 4)
    assert last == Tick(
        source_partition=0,
        source_partitions=4,
        time="2026-01-01T12:00:00.000Z",
        mode="history",
        sources={
            "app": "2026-01-01T10:00:00.000Z",
            "crm": "2026-01-01T11:00:00.000Z",
            "usage.events": "2026-01-01T12:00:00.000Z",
        },
    )


def test_a_source_per_event_does_not_make_ticks_grow_without_end() -> None:
    lines = [line("2026-01-01T10:00:00Z", f"s{number}") for number in range(SOURCES_MAX + 5)]
    *_, last = with_ticks(lines, UTC, 1)
    assert isinstance(last, Tick)
    assert len(last.sources) == SOURCES_MAX


@pytest.mark.parametrize("zone", ZONES)
@settings(deadline=None)  # the first example makes the calendar
@given(first_ms=st.integers(time_ms("1970-01-02T12:00:00Z"), time_ms("2030-01-01T00:00:00Z")))
def test_days_begin_where_scoring_says(zone: str, first_ms: int) -> None:
    days = calendar(zone)
    day = days.day_of(first_ms)
    expected = sorted({days.begins_ms(each) for each in range(day, day + 4)})
    coming = midnights(ZoneInfo(zone), first_ms)
    assert [next(coming) for _ in expected] == expected


@pytest.mark.parametrize(
    ("zone", "first", "expected"),
    [
        (
            "America/Sao_Paulo",
            "2018-11-03T12:00:00Z",
            ["2018-11-03T03", "2018-11-04T03", "2018-11-05T02"],
        ),
        (
            "America/Havana",
            "2021-11-06T12:00:00Z",
            ["2021-11-06T04", "2021-11-07T04", "2021-11-08T05"],
        ),
        (
            "Pacific/Apia",
            "2011-12-29T12:00:00Z",
            ["2011-12-29T10", "2011-12-30T10", "2011-12-31T10"],
        ),
    ],
)
def test_midnights_of_days_that_are_not_24_hours(
    zone: str, first: str, expected: list[str]
) -> None:
    coming = midnights(ZoneInfo(zone), time_ms(first))
    assert [iso_time(next(coming))[:13] for _ in expected] == expected
