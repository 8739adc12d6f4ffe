"""Key users who go quiet and come back, line by line of docs/customer-success.md."""

from typing import Any

import pytest

from tests.scoring.documents import document
from tests.scoring.histories import DAY, HOUR, START, Record, config, erased, event, tick
from tests.scoring.twins import Said, both

METRICS = {"uses": {"count": "*", "window": "120d"}}
RANKS = {
    "usage": {"of": "*", "window": "4d", "full_days": 2, "points": 60},
    "ranks": {
        "SS": {"score": 60, "usage_rate": 1},
        "S": {"score": 40, "usage_rate": 0.6},
        "A": {"score": 20},
        "B": {"score": 15},
        "C": {"score": 10},
    },
}


def settings(days: int = 3, engagement: Any = RANKS) -> Record:
    body = document(METRICS) | {"engagement": engagement}
    body["product"]["signals"] = {"key_user": {"quiet_after": f"{days}d"}}
    return config(body)


def used(*days: int, user: str = "ana") -> list[Record]:
    return [
        event("acme", START + day * DAY + HOUR, id=f"{user}{day}", user_id=user) for day in days
    ]


def told(said: Said) -> list[tuple[str, str | None, str, Any]]:
    """The signals of users: kind, user, day and data, in the order of their telling."""
    return [
        (signal["kind"], signal["user_id"], signal["time"][:10], signal["data"])
        for _, record in said.outbox
        for signal in record.get("signals", ())
    ]


def days(first: int, last: int) -> list[Record]:
    return [tick(START + day * DAY) for day in range(first, last + 1)]


QUIET = ("key_user_quiet", "ana", "2024-02-24", {"rank": "SS", "last_active_on": "2024-02-20"})
BACK = (
    "key_user_back",
    "ana",
    "2024-03-01",
    {"quiet_since": "2024-02-21", "last_active_on": "2024-02-29"},
)


def test_a_key_user_is_quiet_after_so_many_days_and_back_with_the_next() -> None:
    opening = [settings(), tick(START), *used(0, 1)]
    assert told(both(*opening, *days(1, 4))) == []
    assert told(both(*opening, *days(1, 5))) == [QUIET]
    said = both(*opening, *days(1, 9), *used(10), *days(10, 14))
    assert told(said) == [QUIET, BACK]
    at_once = both(*opening, tick(START + 9 * DAY), *used(10), tick(START + 14 * DAY))
    assert told(at_once) == told(said)
    assert told(both(*opening, *days(1, 9), *used(10), *used(10), *days(10, 14))) == [QUIET, BACK]


def test_who_was_seen_without_the_rank_is_no_key_user() -> None:
    once_a_week = used(*range(11, 40, 7), user="ben")
    said = both(settings(), tick(START), *used(3, 4, user="ben"), *once_a_week, *days(1, 60))
    assert {change["rank"] for change in said.ranks} == {"SS", "A", "D"}
    assert [each[0] for each in told(said)] == ["key_user_quiet", "key_user_back"]


def test_late_news_of_the_silence_does_not_bring_anybody_back() -> None:
    opening = [settings(), tick(START), *used(0, 1), *days(1, 9)]
    assert told(both(*opening, *used(3), *days(10, 14))) == [QUIET]
    assert [each[0] for each in told(both(*opening, *used(7), *days(10, 14)))] == [
        "key_user_quiet",
        "key_user_back",
    ]


@pytest.mark.parametrize(("before", "after", "count"), [(3, 20, 1), (20, 3, 0), (20, 21, 1)])
def test_another_number_of_days_is_no_news(before: int, after: int, count: int) -> None:
    opening = [settings(before), tick(START), *used(0, 1), *days(1, 15)]
    said = both(*opening, settings(after), *days(15, 30))
    assert len(told(said)) == count


def test_without_ranks_there_are_no_key_users() -> None:
    opening = [settings(), tick(START), *used(0, 1), *days(1, 3)]
    said = both(*opening, settings(engagement={}), *days(3, 4), settings(), *days(5, 20))
    assert told(said) == []


def test_nobody_is_told_of_who_was_erased() -> None:
    opening = [settings(), tick(START), *used(0, 1), *used(0, 1, user="ben")]
    gone = erased("ana", START + 2 * DAY)
    said = both(*opening, *days(1, 2), gone, *days(3, 9))
    assert [each[:2] for each in told(said)] == [("key_user_quiet", "ben")]
    later = both(*opening, *days(1, 5), gone)
    assert {signal["user_id"] for signal in later.health["acme"]["signals"]} == {None, "ben"}
    assert QUIET in told(later)


def test_what_waits_to_be_told_names_nobody_who_was_erased() -> None:
    source: dict[str, Any] = {"app": {"expected_every": "1h"}}
    body = document(METRICS)
    body["product"]["sources"] = source
    answer = event("acme", START + HOUR, "survey.answered", user_id="ana",
                   properties={"survey": "nps", "score": 1})  # fmt: skip
    stale = tick(START + 5 * HOUR, newest={"app": "2024-02-18T23:00:00.000Z"})
    fresh = tick(START + 6 * HOUR, newest={"app": "2024-02-19T06:00:00.000Z"})
    opening = [config(body), tick(START), *used(0), stale, answer, tick(START + 5 * HOUR + 1)]
    known = both(*opening, fresh)
    assert [each[:2] for each in told(known)] == [("detractor", "ana")]
    said = both(*opening, erased("ana", START + 6 * HOUR), fresh)
    assert [each[:2] for each in told(said)] == [("detractor", None)]
