"""Events and time, line by line of docs/scoring.md, with the numbers worked out by hand."""

from datetime import date

import pytest

from services.scoring.engine.calendar import calendar
from services.scoring.engine.plan import CARRIED_MAX
from tests.scoring.documents import document
from tests.scoring.histories import DAY, HOUR, START, Record, at, config, event, one, tick
from tests.scoring.oracle_metrics import day_begin, day_of
from tests.scoring.twins import both, value


@pytest.mark.parametrize(("days_old", "counted"), [(0, 1), (119, 1), (120, 1), (121, 0), (200, 0)])
def test_the_horizon_ends_120_days_before_the_running_day(days_old: int, counted: int) -> None:
    noon = START + DAY // 2
    settings = one({"count": "a", "window": "120d"})
    said = both(settings, tick(noon), event("acme", noon - days_old * DAY, "a"), tick(noon + HOUR))
    assert value(said) == counted
    assert said.counters.get("too_old", 0) == 1 - counted


@pytest.mark.parametrize(("days_ago", "closed"), [(27, 1), (28, 0)])
def test_a_window_closes_on_its_last_n_days(days_ago: int, closed: int) -> None:
    settings = one({"count": "a", "window": "28d"}, ([0, 0], [1, 100]))
    end = START + 60 * DAY
    said = both(settings, tick(START), event("acme", end - days_ago * DAY, "a"), tick(end + DAY))
    assert said.history["acme", (end // DAY)][0] == 1000 * closed


def test_midnight_alone_lowers_nothing_only_a_close_does() -> None:
    settings = one({"count": "a", "window": "1d"}, ([0, 0], [1, 100]))
    opened = [settings, tick(START, "live"), event("acme", START + HOUR, "a")]
    until = tick(START + DAY + HOUR, "live")
    assert both(*opened, until).health["acme"]["score"] == 100.0
    again = both(*opened, until, tick(START + 2 * DAY, "live"))
    assert again.health["acme"]["score"] == 0.0
    assert again.health["acme"]["as_of"] == at(START + 2 * DAY)
    (driver,) = again.health["acme"]["drivers"]
    assert driver["causes"] == [{"cause": "time", "change": -100.0}]


def test_a_later_null_deletes_and_an_older_value_does_not_come_back() -> None:
    settings = one({"ratio": ["n", "profile.seats"]})
    metrics = {"n": {"count": "a", "window": "1d"}, "m": {"ratio": ["n", "profile.seats"]}}
    settings = config(document(metrics))
    told = [
        event("acme", START + 2, "account.updated", properties={"seats": None}),
        event("acme", START + 1, "account.updated", properties={"seats": 4, "name": "A"}),
    ]
    said = both(settings, tick(START + 9), *told, tick(START + 10))
    assert said.health["acme"]["profile"][0] == {"name": "A"}
    later = event("acme", START + 3, "account.updated", properties={"seats": 5})
    said = both(settings, tick(START + 9), *told, later, tick(START + 10))
    assert said.health["acme"]["profile"][0] == {"name": "A", "seats": 5}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_of_facts_of_one_instant_the_greatest_id_wins(order: tuple[int, ...]) -> None:
    ids = ("a", "z", "é")  # in UTF-8, é comes after z
    told = [
        event("acme", START, "account.updated", id=ids[n], properties={"name": ids[n]})
        for n in order
    ]
    said = both(one({"count": "a", "window": "1d"}), *told, tick(START))
    assert said.health["acme"]["profile"][0] == {"name": "é"}


def test_of_facts_of_one_instant_and_id_the_first_to_come_stays() -> None:
    told = [
        event("acme", START, "account.updated", id="x", source=name, properties={"name": name})
        for name in ("one", "two")
    ]
    said = both(one({"count": "a", "window": "1d"}), *told, tick(START))
    assert said.health["acme"]["profile"][0] == {"name": "one"}


@pytest.mark.parametrize(("age", "cause"), [(DAY, "events"), (DAY + 1, "late")])
@pytest.mark.parametrize("mode", ["history", "live"])
def test_an_event_is_late_more_than_a_day_after_its_time(mode: str, age: int, cause: str) -> None:
    settings = one({"count": "a", "window": "28d"})
    now = START + 2 * DAY
    heard = now + 5 * HOUR if mode == "history" else now  # live, by its receipt; else the clock
    clock = now if mode == "history" else now + 5 * HOUR
    told = event("acme", now - age, "a", id="2", received_at=at(heard))
    said = both(
        settings, tick(clock - 1, mode), event("acme", clock - 1, "a"), tick(clock, mode), told,
        tick(clock + HOUR, mode),
    )  # fmt: skip
    assert said.health["acme"]["drivers"][0]["cause"] == cause
    assert said.health["acme"]["sequence"] == 2


@pytest.mark.parametrize(("days", "known"), [(29, True), (30, True), (31, False)])
def test_a_latest_value_expires_after_its_days(days: int, known: bool) -> None:
    settings = one({"latest": "x", "of": "a", "expires": "30d"})
    told = event("acme", START, "a", properties={"x": 7})
    said = both(settings, told, tick(START), tick(START + days * DAY))
    assert value(said) == (7.0 if known else None)


def test_an_account_closes_and_opens_again() -> None:
    settings = one({"count": "a", "window": "1d"})
    told = [
        event("acme", START, "subscription.started", properties={"mrr": "9.00", "other": 1}),
        event("acme", START + 1, "account.closed"),
    ]
    said = both(settings, *told, tick(START + 5))
    assert said.health["acme"]["profile"][0] == {"mrr": "9.00", "closed": True}
    again = event("acme", START + 2, "subscription.renewed", properties={"mrr": None})
    said = both(settings, *told, again, tick(START + 5))
    assert said.health["acme"]["profile"][0] == {"closed": False}


def test_what_is_too_old_and_no_news_touches_nothing() -> None:
    settings = one({"count": "a", "window": "28d"})
    start = [settings, tick(START), event("acme", START, "a"), tick(START + HOUR)]
    old = event("acme", START - 130 * DAY, "a", id="old")
    news = event("acme", START + HOUR, "a", id="new")
    said = both(*start, old, news, tick(START + 2 * HOUR))
    assert said.counters == {"too_old": 1}
    assert said.health["acme"]["drivers"][0]["cause"] == "events"
    recent = event("acme", START - 30 * HOUR, "a", id="late")
    said = both(*start, recent, tick(START + 2 * HOUR))
    assert said.health["acme"]["drivers"][0]["cause"] == "late"


def test_a_history_replayed_twice_changes_nothing() -> None:
    settings = one({"count": "a", "window": "28d"})
    told: list[Record] = []
    for day in range(200):
        instant = START + day * DAY
        told += [event("acme", instant, "a", received_at=at(START + 900 * DAY)), tick(instant)]
    once, twice = both(settings, *told), both(settings, *told, *told)
    assert (twice.outbox, twice.history) == (once.outbox, once.history)
    assert twice.counters == {"duplicates": 122, "too_old": 78}  # the first came before any clock


@pytest.mark.parametrize(
    ("heard_days_later", "duplicates"), [(0, 1), (7, 1), (8, 0), (-7, 1), (-8, 0)]
)
def test_what_has_no_day_of_its_own_is_remembered_for_a_week_of_receipts(
    heard_days_later: int, duplicates: int
) -> None:
    settings = one({"count": "a", "window": "28d"})
    old, heard = START - 300 * DAY, START
    told = [
        event("acme", old, "a", id="x", received_at=at(heard + days * DAY))
        for days in (0, heard_days_later)
    ]
    said = both(settings, tick(START), *told, tick(START + HOUR))
    assert said.counters.get("duplicates", 0) == duplicates


def test_a_duplicate_is_found_by_its_uncorrected_day() -> None:
    settings = one({"count": "a", "window": "28d"})
    told = [
        event("acme", START - days * DAY, "a", id="x", original_time=at(START - 3 * DAY))
        for days in (1, 2)
    ]
    said = both(settings, tick(START), *told, tick(START + HOUR))
    assert said.counters == {"duplicates": 1}
    assert value(said) == 1


def test_only_the_newest_of_waiting_configurations_takes_effect() -> None:
    first, second, third = (one({"count": "a", "window": f"{n}d"}) for n in (1, 2, 3))
    said = both(first, tick(START), second, third, tick(START - HOUR), tick(START + HOUR))
    shown = [body["document"] for key, body in said.outbox if key == "myaku.config"]
    windows = [each["scorecards"]["metrics"]["m"]["window"] for each in shown]
    assert windows == ["1d", "3d"]


def test_configurations_are_numbered_as_they_take_effect() -> None:
    first, second = (one({"count": "a", "window": f"{n}d"}) for n in (1, 2))
    told = [first, tick(START), second, tick(START + HOUR), second, first, tick(START + 2 * HOUR)]
    said = both(*told)
    shown = [body for key, body in said.outbox if key == "myaku.config"]
    windows = [each["document"]["scorecards"]["metrics"]["m"]["window"] for each in shown]
    assert windows == ["1d", "2d", "1d"]
    assert [each["sequence"] for each in shown] == [1, 2, 3]


def test_a_new_signal_is_unknown_until_its_window_was_collected() -> None:
    old = config(document({"m": {"count": "a", "window": "2d"}}))
    new = config(document({"n": {"count": "b", "window": "2d"}}))
    told = [old, tick(START), event("acme", START, "b"), tick(START + HOUR), new]
    ticks = [tick(START + day * DAY + 2 * HOUR) for day in range(4)]
    said = both(*told, *ticks)
    values = {
        body["as_of"]: body["drivers"][0]["value"] for key, body in said.outbox if key == "acme"
    }
    assert values == {
        at(START + HOUR): 0.0,
        at(START + 2 * HOUR): None,
        at(START + 2 * DAY): 0.0,
    }


def test_changes_are_from_the_closes_a_week_and_four_weeks_ago() -> None:
    settings = one({"latest": "x", "of": "a"}, ([0, 0], [100, 100]))
    told: list[Record] = [settings]
    for day in range(40):
        instant = START + day * DAY + HOUR
        told += [event("acme", instant, "a", properties={"x": day}), tick(instant + HOUR)]
    health = both(*told).health["acme"]  # day 39 runs: its score 39; the close of day 31: 31
    assert (health["score"], health["change_7d"], health["change_28d"]) == (39.0, 8.0, 29.0)


@pytest.mark.parametrize(
    ("zone", "dates"),
    [
        ("America/New_York", ("2024-03-10", "2024-11-03")),
        ("America/Santiago", ("2024-09-08", "2024-04-07")),  # jumps over, falls back to, midnight
        ("America/St_Johns", ("2006-04-02", "2006-10-29")),  # one minute past midnight
        ("Pacific/Apia", ("2011-12-30", "2011-12-31")),  # a day that never was
        ("Pacific/Kwajalein", ("1993-08-20", "1993-08-21")),
        ("America/Havana", ("2023-03-12", "2023-11-05")),
        ("Asia/Gaza", ("2011-08-30", "2011-09-30")),
        ("Asia/Pyongyang", ("2018-05-05", "2015-08-15")),
        ("Australia/Lord_Howe", ("2024-04-07", "2024-10-06")),
        ("Asia/Tokyo", ("1970-01-01", "2199-12-31")),
    ],
)
def test_days_begin_at_local_midnight(zone: str, dates: tuple[str, str]) -> None:
    for day in {
        (date.fromisoformat(each) - date(1970, 1, 1)).days + n
        for each in dates
        for n in range(-3, 4)
    }:
        if 0 <= day <= (date(2199, 12, 31) - date(1970, 1, 1)).days:
            begins = calendar(zone).begins_ms(day)
            assert begins == day_begin(zone, day), (zone, day)
            for instant in (begins - 1, begins, begins + 1, begins + 12 * HOUR):
                assert calendar(zone).day_of(instant) == day_of(zone, instant)


def test_a_day_of_23_hours_closes_at_its_own_midnight() -> None:
    metrics = {"m": {"count": "a", "window": "1d"}}
    settings = config(document(metrics, zone="America/New_York"))
    midnight = 1_710_129_600_000  # 2024-03-11T04:00:00Z, the clocks having gone forward
    said = both(
        settings,
        tick(midnight - 30 * HOUR),
        event("acme", midnight - 1, "a", id="1"),
        event("acme", midnight, "a", id="2"),
        tick(midnight),
    )
    (first, *_), last = [body for key, body in said.outbox if key == "acme"], said.outbox[-1]
    assert (first["as_of"], first["drivers"][0]["value"]) == ("2024-03-11T04:00:00.000Z", 1.0)
    assert last[1]["time"] == "2024-03-11T04:00:00.000Z"


@pytest.mark.parametrize(
    ("before", "after", "published"),
    [(1, True, 2), (1, 1.0, 1), ({"a": [1]}, {"a": [1.0]}, 1), ({"a": [1]}, {"a": [True]}, 2),
     ([1], [1, 2], 2), ({"a": 1}, {"b": 1}, 2)],
)  # fmt: skip
def test_a_profile_is_another_where_json_says_so(
    before: object, after: object, published: int
) -> None:
    told = [
        event("acme", START + n, "account.updated", properties={"x": each})
        for n, each in enumerate((before, after))
    ]
    first, second = told
    settings = one({"count": "a", "window": "1d"})
    said = both(settings, tick(START), first, tick(START + 1), second, tick(START + 2))
    assert said.health["acme"]["sequence"] == published


def test_where_time_and_an_event_weigh_the_same_the_event_is_the_cause() -> None:
    told: list[Record] = [one({"count": "a", "window": "1d"}), tick(START)]
    for day in range(2):
        told += [event("acme", START + day * DAY + HOUR, "a"), tick(START + (day + 1) * DAY)]
    renamed = event("acme", START + DAY + HOUR, "account.updated", properties={"name": "A"})
    (driver,) = both(*told[:-1], renamed, told[-1]).health["acme"]["drivers"]
    assert (driver["change"], driver["cause"]) == (0.0, "events")
    assert [part["cause"] for part in driver["causes"]] == ["time", "events"]


def test_each_cause_has_its_name() -> None:
    rate = {"users": {"users": "a", "window": "28d"}, "rate": {"ratio": ["users", "profile.seats"]}}
    settings, other = config(document(rate)), config(document(rate, zone="Etc/UTC"))
    seats = [event("acme", START + n, "account.updated", properties={"seats": n}) for n in (1, 10)]
    used = [event("acme", START + n, "a", id=f"{n}", user_id=f"u{n}") for n in (1, 2)]
    start = [settings, tick(START), *used, seats[0], tick(START + HOUR)]

    def causes(*more: Record) -> dict[str, str]:
        drivers = both(*start, *more).health["acme"]["drivers"]
        return {driver["measure"]: driver["cause"] for driver in drivers if driver["change"]}

    end = tick(START + 2 * HOUR)
    more_use = event("acme", START, "a", id="more", user_id="u9")
    assert causes(more_use, end) == {"users": "events", "rate": "events"}
    assert causes(seats[1], end) == {"rate": "profile"}
    assert causes(more_use, seats[1], end) == {"users": "events", "rate": "profile"}
    assert causes(more_use, other, end) == {"users": "scorecard", "rate": "scorecard"}


def test_an_older_tick_of_a_source_takes_nothing_back() -> None:
    ticks = [
        tick(START + hours * HOUR, "live", source, 2)
        for hours, source in ((0, 0), (0, 1), (10, 0), (1, 0), (10, 1))
    ]
    clocks = [body["time"] for key, body in both(one({"count": "a", "window": "1d"}), *ticks).outbox
              if key == "myaku.tick"]  # fmt: skip
    assert clocks == [at(START), at(START + 10 * HOUR)]


@pytest.mark.parametrize("count", [CARRIED_MAX, CARRIED_MAX + 1])
def test_a_plan_may_read_any_number_of_properties(count: int) -> None:
    sums = {f"m{n}": {"sum": f"p{n}", "of": f"t{n % 2}", "window": "28d"} for n in range(count)}
    told = {f"p{n}": n for n in range(count)}
    events = [event("acme", START + n, f"t{n}", id=str(n), properties=told) for n in range(2)]
    said = both(config(document(sums)), tick(START), *events, tick(START + HOUR))
    drivers = said.health["acme"]["drivers"]
    assert {driver["measure"]: driver["value"] for driver in drivers} == {
        f"m{n}": float(n) for n in range(count)
    }
