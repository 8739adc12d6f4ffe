"""The matrix, onboarding and signals, line by line of docs/customer-success.md."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scoring.documents import document
from tests.scoring.histories import (
    DAY,
    HOUR,
    START,
    Record,
    batches,
    config,
    event,
    happenings,
    histories,
    successes,
    tick,
)
from tests.scoring.success_documents import ACTIONS
from tests.scoring.test_engine import MODES, examples
from tests.scoring.twins import Said, both, by_engine, by_oracle

METRICS = {"uses": {"count": "used", "window": "28d"}}
CARD = {
    "id": "all",
    "dimensions": {
        "use": {"weight": 1, "measures": {"uses": {"weight": 1, "curve": [[0, 0], [2, 100]]}}}
    },
}
ONBOARDING = {
    "milestones": [
        {"id": "kickoff", "title": "Met", "due": "7d"},
        {
            "id": "habit",
            "title": "Used",
            "due": "20d",
            "reached": {"metric": "uses", "at_least": 2},
        },
    ],
    "grace": "3d",
    "late": 40,
}
MATRIX = {
    "x": {"title": "x", "metric": "uses", "levels": [1, 3]},
    "y": {"title": "y", "metric": {"latest": "seats", "of": "counted"}, "levels": [10]},
    "actions": ACTIONS,
    "cells": [
        [{"stage": "starting"}, {"stage": "growing", "action": "wait"}, {"stage": "growing"}],
        [{"stage": "starting"}, {"stage": "growing"}, {"stage": "expanding", "action": "sell"}],
    ],
    "satisfaction": {
        "metric": {"latest": "score", "of": "survey.answered", "expires": "30d"},
        "at_least": 7,
    },
}


def settings(**parts: Any) -> Record:
    return config(document(METRICS, CARD) | parts)


def used(number: int, instant: int) -> list[Record]:
    return [event("acme", instant + at, "used", id=f"u{instant}-{at}") for at in range(number)]


def started(on: str = "2024-02-19", instant: int = START) -> Record:
    return event("acme", instant, "account.updated", properties={"onboarding_started_on": on})


def milestone(status: str, instant: int, which: str = "kickoff") -> Record:
    told = {"milestone": which, "status": status}
    return event("acme", instant, "onboarding.milestone", properties=told)


def signals(said: Said, kind: str) -> list[dict[str, Any]]:
    """Every signal of a kind that the records told, in their order."""
    return [
        signal
        for _, record in said.outbox
        for signal in record.get("signals", ())
        if signal["kind"] == kind
    ]


@given(data=st.data())
@examples(300)
def test_customer_success_is_as_the_oracle_says(data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(MODES))
    records = data.draw(histories(mode, (successes, successes, successes, happenings)))
    cut = data.draw(batches(records))
    assert by_engine(cut) == by_oracle(cut)
    if mode == ("history",):
        assert by_engine(cut) == by_engine([records])


@given(data=st.data())
@examples(100)
def test_no_signal_is_told_twice(data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(MODES))
    records = data.draw(histories(mode, (successes,)))
    again = data.draw(st.integers(0, len(records)))
    said = by_engine([records, records[:again]])
    ids = [signal["id"] for _, record in said.outbox for signal in record.get("signals", ())]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("uses", "seats", "cell"),
    [
        (0, None, {"x": 0, "y": None, "stage": None, "action": None}),
        (0, 9.9, {"x": 0, "y": 0, "stage": "starting", "action": None}),
        (1, 9.9, {"x": 1, "y": 0, "stage": "growing", "action": "wait"}),
        (2, 10, {"x": 1, "y": 1, "stage": "growing", "action": None}),
        (3, 10, {"x": 2, "y": 1, "stage": "expanding", "action": "sell"}),
    ],
)
def test_a_level_begins_at_its_value(uses: int, seats: float | None, cell: Any) -> None:
    counted = [event("acme", START, "counted", properties={"seats": seats})]
    said = both(settings(matrix=MATRIX), tick(START), *counted, *used(uses, START), tick(START + 9))
    assert said.health["acme"]["matrix"] == cell


@pytest.mark.parametrize(
    ("uses", "answers", "action"),
    [(3, [], "sell"), (3, [7], "sell"), (3, [6], "wait"), (3, [6, 9], "sell"), (1, [], None)],
)
def test_more_is_sold_only_to_the_healthy_and_satisfied(
    uses: int, answers: list[int], action: str | None
) -> None:
    matrix = MATRIX | {"x": MATRIX["x"] | {"levels": [0, 1]}}  # type: ignore[operator]
    told = [
        event("acme", START + at, "survey.answered", properties={"survey": "x", "score": score})
        for at, score in enumerate(answers)
    ]
    seats = event("acme", START, "counted", properties={"seats": 10})
    said = both(settings(matrix=matrix), tick(START), seats, *told, *used(uses, START),
                tick(START + 9))  # fmt: skip
    health = said.health["acme"]
    assert health["band"] == ("healthy" if uses > 1 else "at_risk")
    assert health["matrix"]["action"] == (action or "wait")


def test_onboarding_from_its_start_to_its_end() -> None:
    opening = [settings(onboarding=ONBOARDING), tick(START), started()]

    def at_day(day: int, *told: Record) -> Any:
        return both(*opening, *told, tick(START + day * DAY + HOUR)).health["acme"]["onboarding"]

    first = at_day(7)
    assert first == {
        "status": "running",
        "started_on": "2024-02-19",
        "score": None,
        "milestones": [
            {"id": "kickoff", "status": "open", "score": None, "due_on": "2024-02-26",
             "done_on": None},
            {"id": "habit", "status": "open", "score": None, "due_on": "2024-03-10",
             "done_on": None},
        ],
    }  # fmt: skip
    late = at_day(8)
    assert [each["status"] for each in late["milestones"]] == ["overdue", "open"]
    assert (late["status"], late["score"]) == ("running", 0.0)
    assert at_day(23)["status"] == "running"
    assert at_day(24)["status"] == "failed"


def test_a_milestone_is_done_by_its_metric_at_a_days_end() -> None:
    opening = [settings(onboarding=ONBOARDING), tick(START), started()]
    told = [*used(2, START + DAY), milestone("succeeded", START + 10 * DAY)]
    during = both(*opening, *told[:2], tick(START + DAY + HOUR)).health["acme"]["onboarding"]
    assert during["milestones"][1]["status"] == "open"
    said = both(*opening, *told, tick(START + 40 * DAY)).health["acme"]["onboarding"]
    assert [each["done_on"] for each in said["milestones"]] == ["2024-02-29", "2024-02-20"]
    assert [each["score"] for each in said["milestones"]] == [40.0, 100.0]
    assert (said["status"], said["score"]) == ("done", 70.0)


def test_milestones_overdue_and_done_are_told_once() -> None:
    opening = [settings(onboarding=ONBOARDING), tick(START), started()]
    done = milestone("done", START + 9 * DAY)
    said = both(*opening, tick(START + 8 * DAY), done, done, tick(START + 10 * DAY), done,
                tick(START + 15 * DAY))  # fmt: skip
    (overdue,), (reached,) = signals(said, "milestone_overdue"), signals(said, "milestone_done")
    assert (overdue["subject"], overdue["time"]) == ("kickoff", "2024-02-27T00:00:00.000Z")
    assert overdue["data"] == {"due_on": "2024-02-26"}
    assert reached["time"] == "2024-02-28T00:00:00.000Z"
    assert reached["data"] == {"done_on": "2024-02-28", "late": True}


def test_another_configuration_tells_nothing_of_milestones() -> None:
    opening = [settings(), tick(START), started(), tick(START + 30 * DAY)]
    said = both(*opening, settings(onboarding=ONBOARDING), tick(START + 30 * DAY + HOUR))
    assert [each["status"] for each in said.health["acme"]["onboarding"]["milestones"]] == [
        "overdue",
        "overdue",
    ]
    assert signals(said, "milestone_overdue") == []


def test_while_onboarding_runs_its_scorecard_scores() -> None:
    newcomer = CARD | {"id": "newcomer", "when": {"onboarding": "running"}}
    parts = document(METRICS, newcomer, CARD) | {"onboarding": ONBOARDING}
    said = both(config(parts), tick(START), started(), tick(START + 30 * DAY))
    cards = [record["scorecard"]["id"] for key, record in said.outbox if key == "acme"]
    assert (cards[0], cards[-1]) == ("newcomer", "all")


def survey(score: Any, instant: int, **others: Any) -> Record:
    told = {"survey": "nps", "score": score} | others
    return event("acme", instant, "survey.answered", user_id="u1", properties=told)


def test_a_detractors_answer_is_told_once_even_if_nothing_else_changes() -> None:
    answer = survey(3, START + HOUR)
    said = both(settings(), tick(START), *used(1, START), tick(START + 1), answer, answer,
                tick(START + HOUR), answer, tick(START + 5 * HOUR))  # fmt: skip
    (signal,) = signals(said, "detractor")
    assert (signal["user_id"], signal["subject"], signal["data"]) == ("u1", "nps", {"score": 3})
    assert signal["time"] == "2024-02-19T01:00:00.000Z"
    scores = {record["score"] for key, record in said.outbox if key == "acme"}
    assert scores == {50.0}


@pytest.mark.parametrize(
    ("score", "others", "count"),
    [(6, {}, 1), (6.1, {}, 0), ("2", {}, 1), (None, {}, 0), (2, {"survey": "csat"}, 0)],
)
def test_who_is_a_detractor(score: Any, others: Any, count: int) -> None:
    said = both(settings(), tick(START), survey(score, START, **others), tick(START + 1))
    assert len(signals(said, "detractor")) == count


def test_an_answer_older_than_the_horizon_is_not_told() -> None:
    old, new = survey(1, START - 121 * DAY), survey(2, START - 120 * DAY)
    said = both(settings(), tick(START), old, new, tick(START + 1))
    assert [signal["data"] for signal in signals(said, "detractor")] == [{"score": 2}]


def tickets(count: int, instant: int) -> list[Record]:
    return [event("acme", instant + at, "support.ticket_opened") for at in range(count)]


def test_a_burst_of_tickets_is_measured_against_the_accounts_own_past() -> None:
    usual = [record for week in range(8) for record in tickets(1, START + week * 7 * DAY)]
    then = START + 57 * DAY
    opening = [settings(), tick(START), *usual, tick(then)]
    assert signals(both(*opening, *tickets(4, then), tick(then + HOUR)), "ticket_burst") == []
    said = both(*opening, *tickets(5, then), tick(then + HOUR), *tickets(3, then + DAY),
                tick(then + 9 * DAY))  # fmt: skip
    (signal,) = signals(said, "ticket_burst")
    assert signal["time"] == "2024-04-16T00:00:00.000Z"
    assert signal["data"] == {"tickets": 5, "before": 8}


def test_a_known_user_at_a_new_account_is_told() -> None:
    joined = event("acme", START, "user.joined", user_id="u9", properties={"known_at": ["beta"]})
    said = both(settings(), tick(START), joined, tick(START + 1))
    (signal,) = signals(said, "known_user_elsewhere")
    assert (signal["user_id"], signal["subject"]) == ("u9", "beta")
    assert signal["data"] == {"accounts": ["beta"]}


@pytest.mark.parametrize("apart", [False, True])
def test_more_signals_than_a_record_takes_follow_in_the_next_ones(apart: bool) -> None:
    answers = [
        event(account, START + at, "survey.answered", id=f"{account}{at}", user_id=f"u{at}",
              properties={"survey": "nps", "score": 1})
        for account, number in (("beta", 60), ("acme", 120)) for at in range(number)
    ]  # fmt: skip
    records = [settings(), tick(START), *answers, tick(START + HOUR), tick(START + DAY)]
    cut = [[record] for record in records] if apart else [records]
    said = by_engine(cut)
    assert said == by_oracle(cut)
    told = [(key, body["sequence"], len(body["signals"])) for key, body in said.outbox
            if "account_id" in body]  # fmt: skip
    assert told[:5] == [
        ("acme", 1, 50), ("acme", 2, 50), ("acme", 3, 20), ("beta", 1, 50), ("beta", 2, 10),
    ]  # fmt: skip
    ids = {one["id"] for one in signals(said, "detractor")}
    assert len(ids) == len(signals(said, "detractor")) == 180
