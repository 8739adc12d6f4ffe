"""The simulated product is the same for everybody, and has the shapes that it claims."""

import json
from collections import Counter
from datetime import datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from services.standalone.demo import demo, product, tables
from services.standalone.demo.product import DAYS, FIRST_DAY, LAST_DAY, STORIES
from shared.data_dir import DataDir
from shared.runtime import UserError

EVENTS = product.events()
ACCOUNTS = {account.id: account for account in product.accounts()}
WEEK = 7


def day_of(event: dict[str, str]) -> int:
    return (datetime.fromisoformat(event["time"]).date() - FIRST_DAY).days


def uses(story: str, first_day: int, days: int) -> int:
    """Events of use by all accounts of a story in some days."""
    return sum(
        1
        for event in EVENTS
        if event["type"] == "feature.used"
        and ACCOUNTS[event["account_id"]].story == story
        and first_day <= day_of(event) < first_day + days
    )


def test_a_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    assert product.ndjson() == product.ndjson()
    assert product.ndjson(1) != product.ndjson(2)


def test_the_events_are_native_in_order_and_each_of_its_own_id() -> None:
    times = [event["time"] for event in EVENTS]
    assert times == sorted(times)
    assert len({event["id"] for event in EVENTS}) == len(EVENTS)
    assert {day_of(event) for event in EVENTS} == set(range(DAYS))
    assert max(times)[:10] == LAST_DAY.isoformat()
    assert 20_000 <= len(EVENTS) <= 40_000


def test_every_account_begins_with_its_profile() -> None:
    profiles = {
        event["account_id"]: event for event in EVENTS if event["type"] == "account.updated"
    }
    assert profiles.keys() == ACCOUNTS.keys()
    assert {day_of(event) for event in profiles.values()} == {0}
    for account in ACCOUNTS.values():
        found = profiles[account.id]["properties"]
        assert found["name"] == account.name
        assert {"size", "seats", "mrr", "csm", "renews_on"} <= found.keys()
        assert found["renews_on"] > LAST_DAY.isoformat()
    assert Counter(account.story for account in ACCOUNTS.values()) == STORIES
    assert {account.size for account in ACCOUNTS.values()} == {"S", "M", "E"}


def test_the_week_has_a_rhythm() -> None:
    by_weekday = Counter((FIRST_DAY.weekday() + day_of(event)) % WEEK for event in EVENTS)
    assert max(by_weekday[5], by_weekday[6]) * 4 < min(by_weekday[day] for day in range(5))


@pytest.mark.parametrize(
    ("story", "least", "most"),
    [
        ("steady", 0.9, 1.1),
        ("growing", 1.6, 2.5),
        ("fading", 0.01, 0.1),
        ("silent", 0, 0),
        ("returning", 0.8, 1.3),
    ],
)
def test_how_the_last_two_weeks_compare_with_the_first_two(
    story: str, least: float, most: float
) -> None:
    assert least <= uses(story, DAYS - 14, 14) / uses(story, 0, 14) <= most


def test_who_returns_was_away_and_who_never_came_stays_so() -> None:
    for account in ACCOUNTS.values():
        if account.story == "returning":
            away = range(account.begins + 1, account.ends)
            assert {account.activity(day) for day in away} == {0.0}
    per_seat = {
        story: uses(story, 0, DAYS)
        / sum(account.seats for account in ACCOUNTS.values() if account.story == story)
        for story in ("never at home", "steady")
    }
    assert per_seat["never at home"] * 3 < per_seat["steady"]


def test_the_tables_fit_into_a_terminal_of_100_columns_and_of_80() -> None:
    driver = {"measure": "days_silent", "value": 21.0, "score": 10.0}
    unknown = {"measure": "of_my_own", "value": 2.5, "score": 20.0}
    good = {"measure": "nps", "value": 9.0, "score": 90.0}
    profile = {"name": "Emberly", "size": "E", "mrr": "2812.00", "currency": "EUR"}
    account = {"account_id": "demo-05", "profile": profile, "score": 12.4, "band": "critical"}
    accounts = [
        account | {"change_28d": -51.2, "drivers": [good, unknown, driver]},
        {**account, "profile": {}, "score": None, "change_28d": None, "drivers": []},
    ]
    alert = {
        "title": "Emberly: health 12, critical",
        "severity": "critical",
        "opened_at": "2026-05-11T00:00:00.000Z",
        "resolved_at": None,
        "reasons": [{"text": "days silent 21"}],
        "owner": "ana@example.com",
    }
    console = Console(width=100, record=True, file=StringIO())
    console.print(tables.at_risk(accounts), tables.alerts([alert, alert | {"reasons": []}]))
    shown = console.export_text()
    assert max(map(len, shown.splitlines())) <= 100
    for words in ("2 accounts at risk", "21 days without use", "2,812 EUR", "-51", "2026-05-11"):
        assert words in shown
    narrow = Console(width=80, record=True, file=StringIO())
    narrow.print(tables.at_risk(accounts, 80), tables.alerts([alert], 80))
    shown = narrow.export_text()
    assert max(map(len, shown.splitlines())) <= 80
    for words in ("21 days without use", "of my own 2.5", "days silent 21"):
        assert words in shown, "a reason has a line of its own, and is not broken"
    assert tables.reasons([good, unknown, driver]) == ["21 days without use", "of my own 2.5"]


def test_only_what_a_demo_left_is_removed(tmp_path: Path) -> None:
    fresh, foreign = tmp_path / "fresh", tmp_path / "foreign"
    demo.make_directory(fresh)
    (fresh / "logs").mkdir()
    (fresh / "up.json").write_text(json.dumps({}))
    demo.make_directory(fresh)
    assert [path.name for path in fresh.iterdir()] == ["demo"]

    foreign.mkdir()
    (foreign / "thesis.txt").write_text("ten years of work")
    with pytest.raises(UserError, match="holds something else than a demo"):
        demo.make_directory(foreign)
    assert (foreign / "thesis.txt").exists()


def test_a_demo_that_runs_is_left_alone(tmp_path: Path) -> None:
    demo.make_directory(tmp_path)
    DataDir(tmp_path).take()
    with pytest.raises(UserError, match="A demo runs in"):
        demo.make_directory(tmp_path)
