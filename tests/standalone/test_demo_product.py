"""The simulated product is the same for everybody, and has the shapes that it claims."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.scoring.engine import State
from services.standalone.demo import demo, history, product
from services.standalone.demo.live import Live
from services.standalone.demo.product import DAYS, STORIES, TODAY
from shared.configuration.files import read_document
from tests.scoring.histories import DAY, Record, config, tick
from tests.scoring.twins import Engine

NOON = datetime(2026, 5, 28, 12, tzinfo=UTC)
CUSTOMERS = product.accounts()
BY_ID = {account.id: account for account in CUSTOMERS}
EVENTS = list(history.events(CUSTOMERS, NOON))
FIRST_DATE = product.first_date(NOON.date())
MINUTE_MS = 60_000


def day_of(event: dict[str, Any]) -> int:
    return (datetime.fromisoformat(event["time"]).date() - FIRST_DATE).days


def uses(story: str, first_day: int, days: int) -> int:
    """Events of use by all accounts of a story in some days."""
    return sum(
        1
        for event in EVENTS
        if event["type"] == "feature.used"
        and BY_ID[event["account_id"]].story == story
        and first_day <= day_of(event) < first_day + days
    )


def test_a_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    def lines(seed: int) -> list[bytes]:
        return list(history.ndjson(history.events(product.accounts(seed), NOON, seed)))

    assert lines(1) == lines(1)
    assert lines(1) != lines(2)


def test_the_events_are_native_in_order_up_to_now_and_each_of_its_own_id() -> None:
    times = [event["time"] for event in EVENTS]
    assert times == sorted(times)
    assert len({event["id"] for event in EVENTS}) == len(EVENTS)
    assert {day_of(event) for event in EVENTS} == set(range(DAYS))
    assert times[-1] < "2026-05-28T12:00:00.000Z"
    assert 50_000 <= len(EVENTS) <= 100_000


def test_a_later_moment_adds_events_and_changes_none() -> None:
    assert list(history.events(CUSTOMERS, NOON + timedelta(hours=9)))[: len(EVENTS)] == EVENTS


def test_every_account_begins_with_its_profile() -> None:
    first: dict[str, dict[str, Any]] = {}
    for event in EVENTS:
        first.setdefault(event["account_id"], event)
    assert first.keys() == BY_ID.keys()
    for account in CUSTOMERS:
        event = first[account.id]
        assert event["type"] == "account.updated"
        assert day_of(event) == account.first_day
        assert event["properties"]["name"] == account.name
        assert {"size", "seats", "mrr", "csm", "renews_on"} <= event["properties"].keys()
        assert event["properties"]["renews_on"] > "2026-05-28"
    assert Counter(account.story for account in CUSTOMERS) == STORIES
    assert Counter(account.size for account in CUSTOMERS) == product.SIZES


def test_the_week_has_a_rhythm_and_a_holiday_is_one() -> None:
    weekdays = Counter(datetime.fromisoformat(event["time"]).weekday() for event in EVENTS)
    assert max(weekdays[5], weekdays[6]) * 4 < min(weekdays[day] for day in range(5))
    in_germany = Counter(
        event["time"][5:10] for event in EVENTS if BY_ID[event["account_id"]].country == "DE"
    )
    assert in_germany["05-01"] * 4 < min(in_germany["04-30"], in_germany["05-04"])


@pytest.mark.parametrize(
    ("story", "least", "most"),
    [
        ("steady", 0.9, 1.1),
        ("growing", 1.6, 2.6),
        ("wavering", 0.03, 0.3),
        ("fading", 0.0, 0.15),
        ("silent", 0, 0),
        ("champion left", 0.1, 0.6),
        ("seasonal", 0.8, 1.3),
        ("returning", 0.8, 1.3),
        ("churned", 0, 0),
    ],
)
def test_how_the_last_two_weeks_compare_with_the_first_two(
    story: str, least: float, most: float
) -> None:
    assert least <= uses(story, TODAY - 14, 14) / uses(story, 0, 14) <= most


def test_what_happens_once_happens_once() -> None:
    newcomers = [account for account in BY_ID.values() if account.story == "onboarding"]
    reached = sum(one.begins + day < DAYS for one in newcomers for day in history.MILESTONES)
    by_story = Counter(
        (BY_ID[event["account_id"]].story, event["type"])
        for event in EVENTS
        if event["type"] in ("user.left", "account.closed", "onboarding.milestone")
    )
    assert by_story == {
        ("champion left", "user.left"): STORIES["champion left"],
        ("churned", "account.closed"): STORIES["churned"],
        ("onboarding", "onboarding.milestone"): reached,
    }


def test_a_storm_is_of_tickets() -> None:
    tickets = Counter(
        BY_ID[event["account_id"]].story
        for event in EVENTS
        if event["type"] == "support.ticket_opened"
    )
    per_account = {story: tickets[story] / STORIES[story] for story in STORIES}
    assert per_account["support storm"] > 3 * per_account["steady"]


def test_live_goes_on_with_ids_of_its_own_and_times_of_its_second() -> None:
    live = Live(CUSTOMERS, NOON)
    assert live.second(7) == Live(CUSTOMERS, NOON).second(7)
    events = [event for number in range(120) for event in live.second(number)]
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    assert events[0]["time"] >= "2026-05-28T12:00:00.000Z"
    assert events[-1]["time"] < "2026-05-28T12:02:00.000Z"
    ids = {event["id"] for event in [*EVENTS, *events]}
    assert len(ids) == len(EVENTS) + len(events)
    assert {event["source"] for event in events} == {history.BACKEND, history.WEB}
    gone = {account.id for account in CUSTOMERS if account.story == "churned"}
    assert not gone & {event["account_id"] for event in events}


def as_accepted(event: dict[str, Any]) -> Record:
    """An event as ingest passes it on."""
    value = json.dumps(event | {"received_at": event["time"]}).encode()
    return event["account_id"].encode(), value


def with_midnights(events: list[dict[str, Any]], first_ms: int) -> list[Record]:
    """The history as the engine reads it, its configuration first."""
    records = [config(read_document(demo.CONFIG)), tick(first_ms)]
    for event in events:
        at_ms = round(datetime.fromisoformat(event["time"]).timestamp() * 1000)
        while first_ms + DAY <= at_ms:
            first_ms += DAY
            records.append(tick(first_ms))
        records.append(as_accepted(event))
    return [*records, tick(at_ms)]


def scores(engine: Engine) -> dict[str, float]:
    return {name: health["score"] for name, health in engine.said().health.items()}


@pytest.mark.parametrize("days_later", range(7))
def test_on_every_weekday_scores_cross_in_both_directions_within_two_minutes(
    days_later: int,
) -> None:
    began = NOON + timedelta(days=days_later, hours=days_later * 3)
    first_date = product.first_date(began.date())
    first = datetime.combine(first_date, datetime.min.time(), UTC)
    engine = Engine(State(0, hash_seed=1))
    events = list(history.events(CUSTOMERS, began))
    records = with_midnights(events, round(first.timestamp() * 1000))
    for start in range(0, len(records), 5000):
        engine.read_batch(records[start : start + 5000])
    before = scores(engine)
    assert sum(score >= 70 for score in before.values()) > len(before) / 2
    assert sum(score < 50 for score in before.values()) >= 5

    began_ms = round(began.timestamp() * 1000)
    engine.read_batch([tick(began_ms, "live")])
    live = Live(CUSTOMERS, began)
    for number in range(90):
        engine.read_batch([as_accepted(event) for event in live.second(number)])
    after = scores(engine)
    fallen = [name for name in after if after[name] < 50 <= before[name]]
    risen = [name for name in after if before[name] < 50 and after[name] >= 55]
    assert len(fallen) >= 2, "each opens an alert a minute later"
    assert len(risen) >= 1
