"""What an account may be told of itself has bounds, and stays as it was told within them."""

from typing import Any

import pytest

from tests.scoring.documents import document
from tests.scoring.histories import DAY, START, Record, config, event, tick
from tests.scoring.histories import at as at_instant
from tests.scoring.twins import Said, by_engine, by_oracle

METRICS = {"uses": {"count": "used", "window": "28d"}}


def said_of(*told: Record, apart: bool = True) -> Said:
    records = [config(document(METRICS)), tick(START), *told, tick(START + DAY)]
    batches = [[record] for record in records] if apart else [records]
    said = by_engine(batches)
    assert said == by_oracle(batches)
    return said


def update(number: int, properties: dict[str, Any]) -> Record:
    return event("acme", START + number, "account.updated", id=f"{number}", properties=properties)


def profile_of(said: Said) -> Any:
    return said.health["acme"]["profile"][0]


@pytest.mark.parametrize("apart", [False, True])
def test_an_account_has_room_for_200_fields_and_those_with_a_meaning_of_their_own(
    apart: bool,
) -> None:
    crowd = [update(at, {f"f{at * 50 + one}": at for one in range(50)}) for at in range(5)]
    deleted = update(5, {"f0": None, "new": 1, "f1": "newer", "mrr": "1200.00"})
    closed = event("acme", START + 6, "account.closed", id="6")
    profile = profile_of(said_of(*crowd, deleted, closed, apart=apart))
    assert {*profile} == {f"f{one}" for one in range(1, 200)} | {"mrr", "closed"}
    assert (profile["f1"], profile["f2"]) == ("newer", 0)
    assert said_of(*crowd, deleted, apart=apart).counters == {"fields_left_out": 51}


def test_fields_that_are_always_there_count_among_the_200() -> None:
    own = update(0, {"name": "Acme", "seats": 3})
    crowd = [update(1 + at, {f"f{at * 50 + one}": at for one in range(50)}) for at in range(4)]
    assert len(profile_of(said_of(own, *crowd))) == 200


@pytest.mark.parametrize(
    ("name", "value", "is_known"),
    [
        ("note", "x" * 992, True),
        ("note", "x" * 993, False),
        ("note", "ü" * 496, True),
        ("note", "ü" * 497, False),
        ("tags", ["x"] * 248, True),
        ("tags", ["x"] * 249, False),
        ("name", "x" * 993, False),
    ],
)
def test_a_field_of_more_than_1000_bytes_is_not_known_any_more(
    name: str, value: Any, is_known: bool
) -> None:
    said = said_of(update(0, {name: "short"}), update(1, {name: value, "plan": "pro"}))
    assert profile_of(said) == ({name: value} if is_known else {}) | {"plan": "pro"}
    assert said.counters == ({} if is_known else {"fields_left_out": 1})
    late = said_of(update(1, {name: value}), update(0, {name: "short"}))
    assert profile_of(late) == ({name: value} if is_known else {})


@pytest.mark.parametrize(
    ("kind", "name", "status"),
    [("onboarding.milestone", "milestone", "done"), ("problem.updated", "problem", "open")],
)
def test_an_account_has_room_for_200_milestones_and_200_problems(
    kind: str, name: str, status: str
) -> None:
    words = [{name: f"n{at}", "status": status} for at in range(202)]
    told = [
        event("acme", START + at, kind, id=f"t{at}", properties=word)
        for at, word in enumerate(words)
    ]
    crowd = [update(at, {f"f{at * 50 + one}": at for one in range(50)}) for at in range(4)]
    assert said_of(*crowd, *told).counters == {"fields_left_out": 2}


@pytest.mark.parametrize("name", ["author", "reason"])
def test_an_override_says_no_more_than_500_characters(name: str) -> None:
    given = {"score": 12, "expires_at": at_instant(START + 9 * DAY)}
    told = [
        event("acme", START + length, "account.overridden", id=f"{length}",
              properties=given | {name: "ü" * length, "score": length - 450})
        for length in (500, 501)
    ]  # fmt: skip
    assert said_of(*told).health["acme"]["override"][name] == "ü" * 500
