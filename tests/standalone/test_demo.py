"""What the demo shows is what the APIs say, it fits into a terminal, and the ledger is equal."""

import asyncio
import json
import os
import re
import signal
from collections import Counter
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from services.standalone.demo import demo, tables
from services.standalone.demo.ledger import ledger
from services.standalone.demo.news import Arrivals, Moves
from services.standalone.demo.reading import Reading
from services.standalone.demo.screen import Scene, first_reason, headline, screen, why
from shared.configuration.files import SHIPPED, read_document
from shared.data_dir import DataDir
from shared.runtime import UserError
from tests.end_to_end.installation import start
from tests.up_files import NOWHERE, UP_FILE

MINUTE_MS = 60_000


def health(sequence: int, login: float, nps: float, cause: str = "events") -> dict[str, Any]:
    """A record of an account with two measures, contributing so many points."""
    score = login + nps
    return {
        "account_id": "emberly",
        "sequence": sequence,
        "score": score,
        "band": "at_risk" if score < 50 else "watch",
        "profile": {"name": "Emberly", "csm": "ana@example.com"},
        "drivers": [
            {"measure": "login_rate_28d", "value": 0.4, "contribution": login, "change": 0.0}
            | {"cause": "events"},
            {"measure": "nps", "value": 2.0, "contribution": nps, "change": -1.0, "cause": cause},
        ],
    }


def alert(state: str = "firing", severity: str = "warning") -> dict[str, Any]:
    return {
        "id": "al_1",
        "account_id": "emberly",
        "score": 45.0,
        "state": state,
        "severity": severity,
        "title": "Churn risk: Emberly is at 45.0",
        "opened_at": "2026-05-11T00:00:00.000Z",
        "resolved_at": None,
        "owner": "ana@example.com",
        "reasons": [{"text": "Nps is 2 (was 9), which costs 9 points."}],
    }


def test_a_move_is_the_sum_of_all_between_and_names_its_measure_and_cause() -> None:
    moves = Moves(5 * MINUTE_MS)
    moves.note(0, [health(1, 40, 12)])
    moves.note(1_000, [health(2, 41, 8)])
    moves.note(2_000, [health(5, 41, 4), health(5, 41, 4)])
    (move,) = moves.recent()
    assert (move.before, move.after, move.points) == (52, 45, -7)
    assert (move.measure, move.value, move.cause) == ("nps", 2.0, "events")
    assert move.band_before == "watch"


def test_a_move_by_a_rule_or_an_override_says_its_reason() -> None:
    rule: dict[str, Any] = {"measure": "unhappy", "value": None, "contribution": -30.0}
    rule |= {"change": -30.0, "cause": "events", "reason": "They are waiting."}
    well, unwell = health(1, 60, 12), health(2, 30, 12)
    unwell["drivers"] = [*well["drivers"], rule]
    gone = {**rule, "contribution": 0.0, "change": 30.0, "reason": None}

    def said(*records: dict[str, Any]) -> str:
        moves = Moves(5 * MINUTE_MS)
        for number, record in enumerate(records):
            moves.note(number, [{**record, "sequence": number}])
        (move,) = moves.recent()
        return why(move)

    assert said(well, unwell) == "They are waiting (events)"
    told = {**well, "drivers": [*well["drivers"], gone]}
    assert said(unwell, told) == "no longer: They are waiting (events)"
    assert said(unwell, told, well) == "no longer: They are waiting (events)"


def test_what_moved_before_the_window_is_no_news() -> None:
    moves = Moves(5 * MINUTE_MS)
    moves.note(0, [health(1, 40, 12)])
    moves.note(MINUTE_MS, [health(2, 40, 4)])
    assert len(moves.recent()) == 1
    moves.note(6 * MINUTE_MS, [health(2, 40, 4)])
    assert moves.recent() == []


@pytest.mark.parametrize("points", [0.0, 0.9])
def test_a_tremble_is_no_news(points: float) -> None:
    moves = Moves(5 * MINUTE_MS)
    moves.note(0, [health(1, 40, 12)])
    moves.note(1_000, [health(2, 40 + points, 12)])
    assert moves.recent() == []


def test_an_alert_arrives_once_and_again_when_it_gets_worse_or_is_over() -> None:
    arrivals = Arrivals()
    assert arrivals.note(5, []) == []
    assert arrivals.note(10, [alert()]) == [alert()]
    assert arrivals.note(20, [alert(), alert()]) == []
    assert arrivals.note(25, [alert("recovering")]) == []
    assert arrivals.note(30, [alert(severity="critical")]) == [alert(severity="critical")]
    assert arrivals.note(40, [alert("resolved", "critical")]) == [alert("resolved", "critical")]
    assert [arrivals.at_ms(one) for one in (alert(), alert("resolved", "critical"))] == [10, 40]


def test_what_stands_at_the_first_look_has_not_arrived() -> None:
    arrivals = Arrivals()
    assert arrivals.note(10, [alert()]) == []
    assert arrivals.at_ms(alert()) == 0


def test_an_alert_that_is_over_says_how_the_account_is_now() -> None:
    known = {"emberly": health(7, 60, 12)}
    assert headline(alert(), known) == "Churn risk: Emberly is at 45.0"
    assert headline(alert(), known, short=True) == "Emberly 45.0"
    assert headline(alert("resolved"), known) == "Over: Emberly, now 72"
    assert (first_reason(alert())[:3], first_reason(alert("resolved"))) == ("Nps", "")


def scene(accounts: int) -> Scene:
    moves = Moves(5 * MINUTE_MS)
    many = [
        health(1, 40, 12) | {"account_id": str(number), "profile": {"name": f"Emberly {number}"}}
        for number in range(accounts)
    ]
    moves.note(0, many)
    moves.note(1, [{**one, **health(2, 40, 4), "account_id": one["account_id"]} for one in many])
    partition = {"clock": "2026-05-28T12:01:00.000Z", "counted": 7}
    return Scene(
        began_ms=0,
        now_ms=134_000,
        reading=Reading(many, [alert()] * accounts, [], [partition]),
        moves=moves.recent(),
        alerts=[(alert(), 61_000)] + [(alert(), 0)] * accounts,
        sent=Counter({"HTTP": 1200, "Kafka": 1300}),
        rates={"HTTP": 4.3, "Kafka": 5.1},
        counted=2500,
        up_file=UP_FILE,
        data_dir=".myaku/demo",
    )


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60), (80, 10)])
@pytest.mark.parametrize("accounts", [0, 1, 80])
def test_the_screen_fits_and_says_all_that_it_should(
    width: int, height: int, accounts: int
) -> None:
    console = Console(width=width, height=height, record=True, file=StringIO())
    console.print(screen(scene(accounts), width, height))
    shown = console.export_text()
    lines = shown.rstrip("\n").splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= max(height, 20)
    for words in ("live for 2:14", "HTTP 4.3 events/s", "sent 2,500, counted 2,500", "Ctrl-C"):
        assert words in shown
    for words in (f"{NOWHERE}/v1/accounts", f"{NOWHERE}/v1/alerts"):
        assert words in shown
    assert "00:01:01" in shown, "the alert that has come"
    if accounts:
        assert "52.0 → 44.0" in shown
        assert "would recommend us: 2 of 10" in shown


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        (1_060, "Equal: every event was counted, and none twice."),
        (1_059, "Not equal: 1 differ."),
        (1_061, "Not equal: 1 differ."),
    ],
)
def test_the_ledger_says_whether_it_is_equal(counted: int, words: str) -> None:
    console = Console(width=80, record=True, file=StringIO())
    console.print(ledger(1_000, Counter({"HTTP": 20, "Kafka": 40}), counted))
    shown = console.export_text()
    assert words in shown
    assert "1,060" in shown


def test_the_tables_fit_into_a_terminal_of_100_columns_and_of_80() -> None:
    driver = {"measure": "silence", "value": 0.8123, "score": 18.8}
    rule = {"measure": "unhappy", "value": None, "score": None, "contribution": -9.0}
    rule |= {"reason": "They are waiting."}
    unknown = {"measure": "of_my_own", "value": 2.5, "score": 20.0}
    good = {"measure": "nps", "value": 9.0, "score": 90.0}
    profile = {"name": "Emberly", "size": "E", "mrr": "2812.00", "currency": "EUR"}
    account = {"account_id": "emberly", "profile": profile, "score": 12.4, "band": "critical"}
    accounts = [
        account | {"change_28d": -51.2, "drivers": [good, unknown, driver, rule]},
        {**account, "profile": {}, "score": None, "change_28d": None, "drivers": []},
    ]
    console = Console(width=100, record=True, file=StringIO())
    console.print(tables.at_risk(accounts), tables.alerts([alert(), alert() | {"reasons": []}]))
    shown = console.export_text()
    assert max(map(len, shown.splitlines())) <= 100
    for words in (
        "2 accounts at risk",
        "silent for good: 81% likely",
        "They are waiting.",
        "2,812 EUR",
        "-51",
        "2026-05-11",
    ):
        assert words in shown
    narrow = Console(width=80, record=True, file=StringIO())
    over = alert("resolved") | {"resolved_at": "2026-05-13T00:00:00.000Z", "owner": "ben@a.example"}
    narrow.print(tables.at_risk(accounts, 80), tables.alerts([alert(), over], 80))
    shown = narrow.export_text()
    assert max(map(len, shown.splitlines())) <= 80
    for words in (
        "silent for good: 81% likely",
        "They are waiting.",
        "Nps is 2 (was 9)",
    ):
        assert words in shown, "a reason has a line of its own, and is not broken"
    for words in ("2 alerts raised, 1 still open", "still open │", "2026-05-13", "ana", "ben"):
        assert words in shown, "which alerts are open, and who was told"


def test_what_holds_a_score_down_is_the_rule_that_applies_then_the_weakest_measures() -> None:
    silent = {"measure": "silence", "value": 0.8123, "score": 18.8}
    unheard_of = {"measure": "of_my_own", "value": 2.5, "score": 20.0}
    good = {"measure": "nps", "value": 9.0, "score": 90.0}
    rule = {"measure": "unhappy", "value": None, "score": None, "reason": "They are waiting."}
    measures = [good, unheard_of, silent]
    words = ["silent for good: 81% likely", "of my own 2.5"]
    assert tables.reasons(measures) == words
    assert tables.reasons([*measures, rule | {"contribution": 0.0}]) == words
    assert tables.reasons([*measures, rule | {"contribution": -9.0}]) == [
        "They are waiting.",
        "silent for good: 81% likely",
    ]


def test_every_measure_that_has_words_is_shipped() -> None:
    shipped = read_document(SHIPPED)["scorecards"]["metrics"]
    assert tables.WORDS.keys() <= shipped.keys()


def test_only_the_times_of_the_rule_differ_from_the_shipped_one() -> None:
    shipped, own = read_document(SHIPPED), read_document(demo.CONFIG)
    (rule,), (own_rule,) = shipped["alerts"]["rules"], own["alerts"]["rules"]
    differ = {name for name in rule if rule[name] != own_rule[name]}
    assert differ == {"for", "clear_for", "cooldown"}
    assert {**shipped, "alerts": None} == {**own, "alerts": None}


def test_only_what_a_demo_left_is_removed(tmp_path: Path) -> None:
    fresh, foreign = tmp_path / "fresh", tmp_path / "foreign"
    demo.make_directory(fresh)
    (fresh / "postgres").mkdir()
    (fresh / "up.json").write_text(json.dumps({}))
    demo.make_directory(fresh)
    assert {path.name for path in fresh.iterdir()} == {"demo", "lock"}

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


def up_file(directory: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((directory / "demo" / "up.json").read_text())
    return read


async def test_history_then_live_scores_and_alerts_and_an_equal_ledger_though_scoring_is_killed(
    tmp_path: Path,
) -> None:
    process = await start("demo", data_dir=tmp_path / "demo")
    assert process.stdout
    printed: list[str] = []
    try:
        async with asyncio.timeout(500):
            while not re.search(r"\d alert  ", "".join(printed)):
                line = (await process.stdout.readline()).decode()
                assert line, "".join(printed)
                printed.append(line)
            os.kill(int(up_file(tmp_path)["pids"]["scoring"]), signal.SIGKILL)
            process.send_signal(signal.SIGINT)
            printed.append((await process.stdout.read()).decode())
            assert await process.wait() == 0, "".join(printed)
    finally:
        if process.returncode is None:
            process.kill()
    said = "".join(printed)
    assert re.search(r"score  .*\w+ → at_risk; They would not recommend us, .* \(events\)", said)
    assert re.search(r"\d alert  Churn risk: .* \(warning\) for \w+: \w+", said)
    assert "Equal: every event was counted, and none twice." in said
    for way in ("live over HTTP", "live through Kafka"):
        sent = re.search(rf"sent {way} +│ +([\d,]+)", said)
        assert sent, said
        assert int(sent[1].replace(",", "")) > 0
    assert "scoring ended (SIGKILL)" in said
    assert "Traceback" not in said
    assert not (tmp_path / "demo" / "up.json").exists()
