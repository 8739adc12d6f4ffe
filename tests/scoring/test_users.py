"""Users and their ranks: as the oracle says, whatever is read in whatever batches."""

import asyncio

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.engine import State
from services.scoring.engine.users.days import forget_users
from services.scoring.engine.users.names import Names
from tests.scoring.documents import document
from tests.scoring.habits import histories
from tests.scoring.histories import DAY, START, Record, batches, config, erased, event, tick
from tests.scoring.test_engine import examples, through_the_database
from tests.scoring.twins import Engine, Said, both, by_engine, by_oracle


@given(data=st.data())
@examples(120)
def test_people_with_habits_are_ranked_as_the_oracle_ranks_them(data: st.DataObject) -> None:
    cut = data.draw(batches(data.draw(histories())))
    assert by_engine(cut) == by_oracle(cut)


@given(data=st.data())
@examples(30)
def test_forgetting_changes_nothing(data: st.DataObject) -> None:
    cut = data.draw(batches(data.draw(histories())))
    engine = Engine(State(0, hash_seed=7))
    for batch in cut:
        engine.read_batch(batch)
        forget_users(engine.state, least=1)
    assert engine.said() == by_oracle(cut)


@given(data=st.data())
@examples(15)
def test_ranks_go_on_the_same_after_a_reload(data: st.DataObject, database_url: str) -> None:
    cut = data.draw(batches(data.draw(histories())))
    reloads = [data.draw(st.booleans()) for _ in cut]
    said = asyncio.run(through_the_database(database_url, cut, reloads))
    assert said == by_oracle(cut)


RANKS = {
    "usage": {"of": "*", "window": "7d", "full_days": 2, "points": 60},
    "signals": {"exports": {"of": "export.made", "window": "30d", "points": 20, "cap": 30}},
    "ranks": {
        "SS": {"score": 90, "usage_rate": 1},
        "S": {"score": 80, "usage_rate": 0.5, "points": {"exports": 20}},
        "A": {"score": 50},
        "B": {"score": 30},
        "C": {"score": 10},
    },
}


def ranked() -> Record:
    """Ranks that two days of use reach, and the users of rank B in the score."""
    return config(document({"m": {"ranked_users": "B"}}) | {"engagement": RANKS})


def used(day: int, user: str = "ana", kind: str = "report.run") -> Record:
    return event("acme", START + day * DAY, kind, user_id=user, id=f"{user}-{kind}-{day}")


def night(day: int) -> Record:
    """The tick that closes a day, the first being 0."""
    return tick(START + (day + 1) * DAY)


def told(said: Said) -> list[tuple[str, str | None, str | None, float]]:
    return [(each["user_id"], each["previous"], each["rank"], each["score"]) for each in said.ranks]


def test_a_first_rank_is_given_at_once_and_another_when_two_closes_agree() -> None:
    said = both(ranked(), tick(START), used(0), night(0), used(1), night(1), night(2), night(3))
    assert told(said) == [("ana", None, "B", 30.0), ("ana", "B", "A", 60.0)]
    assert said.ranks[1]["as_of"] == "2024-02-22T00:00:00.000Z"
    assert said.health["acme"]["engagement"] == {"SS": 0, "S": 0, "A": 1, "B": 0, "C": 0, "D": 0}
    assert said.health["acme"]["drivers"][0]["value"] == 1.0


def test_one_good_day_moves_nobody() -> None:
    days = [used(0), night(0), *(night(day) for day in range(1, 8)), used(8), night(8)]
    lower = both(ranked(), tick(START), *days, night(9), night(10))
    assert told(lower) == [("ana", None, "B", 30.0)]


def test_gates_hold_back_who_has_the_score() -> None:
    events = [used(0), used(0, kind="export.made"), used(1, kind="export.made"), used(1)]
    events += [used(0, "bo"), used(1, "bo"), used(1, "cy", "export.made")]
    said = both(ranked(), tick(START), *events[:2], night(0), *events[2:], night(1), night(2))
    assert {each["user_id"]: each["rank"] for each in said.ranks} == {
        "ana": "SS", "bo": "A", "cy": "A",
    }  # fmt: skip


def test_who_is_silent_for_the_horizon_has_no_rank_any_more() -> None:
    said = both(ranked(), tick(START), used(0), night(0), night(119), night(120), night(121))
    assert [(rank, previous) for _, previous, rank, _ in told(said)] == [
        ("B", None), ("D", "B"), (None, "D"),
    ]  # fmt: skip
    assert said.ranks[-1]["as_of"] == "2024-06-19T00:00:00.000Z"
    assert sum(said.health["acme"]["engagement"].values()) == 0


def test_a_configuration_without_ranks_takes_them_away_and_another_begins_anew() -> None:
    none = config(document({"m": {"count": "*", "window": "7d"}}))
    start = [ranked(), tick(START), used(0), night(0)]
    assert both(*start, none, night(1)).health["acme"]["engagement"] == {}
    again = both(*start, none, night(1), used(2), ranked(), night(2), night(3), night(4))
    assert told(again) == [("ana", None, "B", 30.0)]
    later = both(*start, none, night(1), ranked(), night(2), used(3), *map(night, range(3, 12)))
    assert [rank for _, _, rank, _ in told(later)] == ["B", "B", "D"]


def test_an_erased_person_has_no_name_and_still_counts() -> None:
    start = [ranked(), tick(START), used(0), used(0, "bo"), night(0)]
    gone = erased("ana", START + 1)
    said = both(*start, gone, used(1, "bo"), night(1), night(2))
    assert told(said)[2:] == [("ana", "B", None, 0.0), ("bo", "B", "A", 60.0)]
    assert said.health["acme"]["engagement"] == {"SS": 0, "S": 0, "A": 1, "B": 1, "C": 0, "D": 0}
    after = both(*start, gone, used(1), used(2), night(1), night(2), night(3))
    assert told(after)[3:] == [("ana", None, "B", 30.0), ("ana", "B", "A", 60.0)]
    late = event("acme", START + 1, id="late", user_id="ana")
    assert told(both(*start, gone, late, night(1), night(2)))[3:] == []


def test_an_erased_name_is_in_no_memory() -> None:
    engine = Engine(State(0, hash_seed=7))
    engine.read_batch([ranked(), tick(START), used(0), used(0, "bo"), night(0)])
    assert b"ana" in engine.state.users.names.arena.tobytes()
    engine.read_batch([erased("ana", START + DAY)])
    assert b"ana" not in engine.state.users.names.arena.tobytes()


def test_names_are_kept_in_one_arena() -> None:
    names, texts = Names(), [f"user-{number}" * (number % 9) for number in range(1000)]
    for start in range(0, 1000, 37):
        names.append([text.encode() for text in texts[start : start + 37]])
    names.erase(500)
    assert [names.text(number) for number in range(1000)] == [
        None if number % 9 == 0 or number == 500 else texts[number] for number in range(1000)
    ]
    kept = np.array([1, 9, 64, 500, 999])
    taken = names.take(kept)
    assert [taken.text(number) for number in range(5)] == [
        texts[1], None, texts[64], None, None,
    ]  # fmt: skip
    taken.append([b"more"])
    assert taken.text(5) == "more"
