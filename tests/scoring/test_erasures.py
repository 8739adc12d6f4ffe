"""A person is erased: what was done counts on, whoever did it is not known any more."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.scoring.histories import DAY, START, erased, event, histories, one, tick
from tests.scoring.test_engine import MODES, examples
from tests.scoring.twins import Said, both, by_engine, value

LATER = START + 36_500 * DAY
USERS = {"users": "*", "window": "28d"}


@given(data=st.data())
@examples(100)
def test_an_erasure_moves_no_score(data: st.DataObject) -> None:
    records = data.draw(histories(data.draw(st.sampled_from(MODES))))
    records = [record for record in records if record[0] != b"myaku.user.erased"]
    with_erasures = list(records)
    for user in data.draw(st.lists(st.sampled_from(("u1", "u2", "u3")), min_size=1)):
        with_erasures.insert(data.draw(st.integers(0, len(records))), erased(user, LATER))
    said, before = by_engine([with_erasures]), by_engine([records])
    assert {each["user_id"] for each in said.ranks} <= {each["user_id"] for each in before.ranks}
    assert courses(said) == courses(before)
    assert (said.history, said.counters) == (before.history, before.counters)


def courses(said: Said) -> dict[str, list[Any]]:
    """How each account's health goes, whatever signals its records tell."""
    shown = ("score", "band", "coverage", "engagement", "matrix", "onboarding", "profile", "stale")
    found: dict[str, list[Any]] = {}
    for key, record in said.outbox:
        if "account_id" in record:
            course, health = found.setdefault(key, []), [record[name] for name in shown]
            course += [] if course[-1:] == [health] else [health]
    return found


def test_late_events_of_before_are_of_the_same_person_and_later_ones_of_somebody_new() -> None:
    told = [one(USERS), tick(START), event("acme", START, user_id="u1"), erased("u1", START + DAY)]
    late = event("acme", START - DAY, id="late", user_id="u1")
    assert value(both(*told, late, tick(START + 2 * DAY))) == 1
    at_the_time = event("acme", START + DAY, id="then", user_id="u1")
    assert value(both(*told, tick(START + DAY), at_the_time, tick(START + 2 * DAY))) == 1
    after = event("acme", START + DAY + 1, id="after", user_id="u1")
    assert value(both(*told, tick(START + DAY + 1), after, tick(START + 2 * DAY))) == 2
    again = [tick(START + DAY + 1), after, erased("u1", START + DAY + 2), tick(START + 2 * DAY)]
    third = event("acme", START + 2 * DAY, id="third", user_id="u1")
    assert value(both(*told, *again, third, tick(START + 3 * DAY))) == 3
    of_the_second = event("acme", START + DAY + 2, id="second", user_id="u1")
    assert value(both(*told, *again, of_the_second, tick(START + 3 * DAY))) == 2


def test_an_erasure_may_come_before_any_configuration() -> None:
    first = [erased("u1", START), tick(START), event("acme", START, user_id="u1")]
    after = event("acme", START + 1, id="after", user_id="u1")
    said = both(*first, one(USERS), after, tick(START + DAY))
    assert value(said) == 2
