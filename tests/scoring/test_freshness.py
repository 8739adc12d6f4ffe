"""Sources that fall silent: who is held, for how long, and that silence of ours lowers no score."""

from collections.abc import Iterator

import numpy as np
import pytest

from services.scoring.engine import RawRecord, State, advance, decode
from services.scoring.engine.sources import SLOTS
from shared.events import SOURCES_MAX
from tests.scoring.documents import document
from tests.scoring.histories import DAY, HOUR, START, Record, at, config, event, tick
from tests.scoring.twins import Said, both, by_engine, by_oracle

MINUTE = 60_000
SETTINGS = document({"m": {"count": "*", "window": "1d"}})


def settings(**every: str) -> Record:
    """One metric that a night of silence lowers; sources with their rhythms."""
    sources = {name: {"expected_every": text} for name, text in every.items()}
    return config({**SETTINGS, "product": {**SETTINGS["product"], "sources": sources}})


def live(instant: int, **newest: int) -> Record:
    """A live tick, with newest event times of sources."""
    return tick(instant, "live", newest={name: at(time) for name, time in newest.items()})


def records(said: Said, account: str = "acme") -> list[tuple[str, float, bool]]:
    """When the account was published, with which score, and whether stale."""
    own = [value for key, value in said.outbox if key == account]
    return [(one["as_of"], one["score"], one["stale"]) for one in own]


def use(instant: int, account: str = "acme", source: str = "web") -> list[Record]:
    """Ten events in the minute before."""
    return [
        event(account, instant - number, id=f"{source}-{instant}-{number}", source=source)
        for number in range(1, 11)
    ]


def ticking(first: int, last: int, newest: int) -> Iterator[Record]:
    """A live tick every half hour; the source is heard of no more."""
    for instant in range(first, last + 1, 30 * MINUTE):
        yield live(instant, web=newest)


def test_a_silent_source_holds_the_score_that_a_silent_customer_loses() -> None:
    began = [live(START, web=START), *use(START + MINUTE), live(START + MINUTE, web=START + MINUTE)]
    silence = list(ticking(START + 30 * MINUTE, START + 3 * DAY, START + MINUTE))
    undeclared = both(settings(), *began, *silence)
    assert records(undeclared)[-1][1:] == (0.0, False)

    held = both(settings(web="45m"), *began, *silence)
    assert records(held) == [(at(START + MINUTE), 10.0, False), (at(START + HOUR), 10.0, True)]
    days = [row[0] for (_, day), row in sorted(held.history.items()) if row[-1]]
    assert days == [100, 100, 100]

    back = START + 3 * DAY + MINUTE
    again = both(settings(web="45m"), *began, *silence, *use(back), live(back, web=back))
    assert records(again)[-1] == (at(back), 10.0, False)
    assert len(records(again)) == 3


def test_what_was_folded_before_the_silence_is_in_the_held_record() -> None:
    said = both(
        settings(web="1h"),
        tick(START),
        *use(START + HOUR),
        tick(START + DAY, newest={"web": at(START + HOUR)}),
        tick(START + 2 * DAY),
    )
    assert records(said) == [(at(START + DAY), 10.0, True)]
    assert [row[0] for row in said.history.values()] == [100, 100]


def test_only_accounts_of_the_silent_source_are_held() -> None:
    said = both(
        settings(web="1h"),
        tick(START),
        *use(START + HOUR),
        *use(START + HOUR, "beta", "mail"),
        *[tick(START + day * DAY, newest={"web": at(START)}) for day in (1, 2, 3)],
    )
    assert said.health["acme"]["stale"]
    assert not said.health["beta"]["stale"]
    assert (said.health["acme"]["score"], said.health["beta"]["score"]) == (10.0, 0.0)


def test_an_account_is_let_go_when_the_source_has_left_its_horizon() -> None:
    silent = [tick(START + day * DAY, newest={"web": at(START)}) for day in range(1, 123)]
    said = both(settings(web="1h"), tick(START), *use(START + HOUR), *silent)
    assert records(said) == [(at(START + DAY), 10.0, True), (at(START + 121 * DAY), 0.0, False)]


def test_a_gap_of_more_than_an_hour_holds_every_source_until_its_next_event() -> None:
    before = [live(START - MINUTE), *use(START), live(START, web=START)]
    for pause, held in ((HOUR, False), (HOUR + 1, True)):
        after = START + pause
        said = both(settings(), *before, live(after))
        assert said.health["acme"]["stale"] == held
        heard = both(settings(), *before, live(after), *use(after), live(after + 1, web=after))
        assert not heard.health["acme"]["stale"]


def test_days_that_pass_while_ingest_is_away_are_held() -> None:
    began = START + MINUTE
    away = [live(START), *use(began), live(began, web=began)]
    back = START + 3 * DAY + 8 * HOUR
    said = both(settings(), *away, *use(back), live(back, web=back - 1))
    assert [row[0] for row in said.history.values()] == [100, 100, 100]
    assert all(row[-1] for row in said.history.values())
    assert records(said)[1:] == [(at(START + DAY), 10.0, True), (at(back), 10.0, False)]


def test_without_a_rhythm_a_source_is_let_off_a_day_after_the_gap() -> None:
    gap = [live(START), *use(START + 1), live(START + 1, web=START)]
    end = START + 2 * HOUR
    day = [live(end + number * HOUR // 2) for number in range(50)]
    assert both(settings(), *gap, *day[:49]).health["acme"]["stale"]
    let_off = both(settings(), *gap, *day)
    assert not let_off.health["acme"]["stale"]
    assert let_off.sources["web"][0] == "quiet"


def test_a_source_at_rest_before_the_gap_holds_nobody() -> None:
    rest = [live(START + hour * HOUR, web=START) for hour in range(26)]
    said = both(settings(), *rest[:1], *use(START), *rest[1:], live(START + 30 * HOUR))
    assert (said.sources["web"][0], said.health["acme"]["stale"]) == ("quiet", False)


def test_an_overridden_score_is_not_held() -> None:
    end = at(START + 2 * DAY)
    override = event(
        "acme", START + DAY + HOUR, "account.overridden", source="api",
        properties={"score": 42, "author": "ana", "reason": "they told us", "expires_at": end},
    )  # fmt: skip
    silent = [tick(START + hour * HOUR, newest={"web": at(START)}) for hour in (24, 26, 48, 50)]
    said = both(
        settings(web="1h"), tick(START), *use(START + HOUR), silent[0], override, *silent[1:]
    )
    stale = [stale for _, _, stale in records(said)]
    assert (stale[0], False in stale, stale[-1]) == (True, True, True)


def told_of_users(*, overridden: bool, **every: str) -> tuple[list[str | None], list[str]]:
    """The ranks of who uses the product for two days and then no more, and signals of it."""
    usage = {"of": "*", "window": "4d", "full_days": 2, "points": 60}
    needs = {"SS": {"score": 100}, "S": {"score": 60}, "A": {"score": 50}, "B": {"score": 40}}
    product = {
        **SETTINGS["product"],
        "sources": {name: {"expected_every": text} for name, text in every.items()},
        "signals": {"key_user": {"quiet_after": "3d"}},
    }
    engagement = {"usage": usage, "ranks": {**needs, "C": {"score": 30}}}
    used = [
        event("acme", START + day * DAY + HOUR, id=str(day), user_id="ana", source="web")
        for day in (0, 1)
    ]
    end = at(START + 99 * DAY)
    override = event(
        "acme", START + 2 * DAY, "account.overridden", source="api",
        properties={"score": 42, "author": "bo", "reason": "known", "expires_at": end},
    )  # fmt: skip
    newest = {"web": at(START + DAY + HOUR)}
    said = both(
        config({**SETTINGS, "product": product, "engagement": engagement}),
        tick(START),
        *used,
        *([override] if overridden else []),
        *[tick(START + day * DAY, newest=newest) for day in range(2, 13)],
    )
    signals = [signal["kind"] for _, one in said.outbox for signal in one.get("signals", ())]
    return [one["rank"] for one in said.ranks], signals


@pytest.mark.parametrize("overridden", [False, True])
def test_users_stay_as_they_are_while_their_source_is_silent(*, overridden: bool) -> None:
    away = told_of_users(overridden=overridden)
    assert away == (["C", "S", "D"], ["key_user_quiet"])
    assert told_of_users(overridden=overridden, web="2d") == (["C", "S"], [])


def test_a_tick_ahead_of_the_clock_is_believed_when_the_clock_comes_to_it() -> None:
    """One source partition lags: what the other one says of later is no reason to be fresh now."""
    ahead = tick(START + 3 * HOUR, "live", 0, 2, newest={"web": at(START + 3 * HOUR)})
    lagging = tick(START + 2 * HOUR - 1, "live", 1, 2)
    first = [tick(START + HOUR, "live", of, 2, newest={"web": at(START)}) for of in (0, 1)]
    log = [settings(web="90m"), *first, *use(START), ahead, lagging]
    assert both(*log).health["acme"]["stale"]
    assert not both(*log, tick(START + 3 * HOUR, "live", 1, 2)).health["acme"]["stale"]


def test_every_partition_decides_alike_whatever_its_accounts_are() -> None:
    ticks = [tick(START + day * DAY, newest={"web": at(START)}) for day in range(3)]
    with_events = by_engine([[settings(web="2h"), ticks[0], *use(START), *ticks[1:]]])
    without = by_engine([[settings(web="2h"), *ticks]])
    assert with_events.sources["web"][:2] == without.sources["web"][:2] == ("stale", START)


def test_sources_beyond_the_slots_share_one() -> None:
    names = [f"s{number}" for number in range(SLOTS + 2)]
    rhythms = {**dict.fromkeys(names, "9w"), "s64": "1h"}
    told = [event("acme", START + n, source=name, id=name) for n, name in enumerate(names[:63])]
    others = [("beta", "s63"), ("z", "s65")]
    told += [event(account, START, source=name, id=name) for account, name in others]
    heard = tick(START + DAY, newest=dict.fromkeys(names, at(START)))
    said = by_engine([[settings(**rhythms), tick(START + HOUR), *told, heard]])
    stale = {account: health["stale"] for account, health in said.health.items()}
    assert stale == {"acme": False, "beta": True, "z": True}


def test_a_source_for_each_event_fills_no_memory() -> None:
    state = State(0, 7)
    told = [event("acme", START, source=f"s{n}", id=str(n)) for n in range(SOURCES_MAX + 50)]
    log = [settings(), tick(START), *told]
    advance(
        state,
        decode((RawRecord(offset, *record) for offset, record in enumerate(log)), state),
        lambda _: 0,
    )
    assert len(state.sources.known) == SOURCES_MAX
    assert state.sources.days.shape[0] == SLOTS
    assert np.all(state.sources.days[:, 0] >= START // DAY)


def test_events_and_refusals_of_the_last_hours_are_counted() -> None:
    log = [settings(), tick(START), *use(START), tick(START + DAY, refused={"web": 3, "bad": 1})]
    assert both(*log).sources["web"][2:] == (10, 3)
    assert both(*log, tick(START + DAY + HOUR)).sources["web"][2:] == (0, 3)
    later = both(*log, tick(START + 2 * DAY + HOUR))
    assert later.sources["web"][2:] == later.sources["bad"][2:] == (0, 0)


def test_the_order_of_ticks_of_source_partitions_decides_nothing() -> None:
    first = [tick(START, "live", of, 2, newest={"web": at(START)}) for of in (0, 1)]
    turns = [
        [
            tick(at_ms, "live", of, 2, newest={"web": at(at_ms - HOUR // 2)})
            for at_ms in (START + hour * HOUR for hour in hours)
        ]
        for of, hours in ((0, (1, 9, 24)), (1, (2, 8, 24)))
    ]
    begin = [settings(web="4h"), *first, *use(START)]
    one = by_oracle([[*begin, *turns[0], *turns[1]]])
    for mixed in ([*turns[0], *turns[1]], [*turns[1], *turns[0]]):
        assert by_engine([[*begin, *mixed]]).history == one.history
