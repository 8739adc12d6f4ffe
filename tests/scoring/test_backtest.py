"""`myaku backtest` on small histories: what it finds is what counting by hand finds."""

import json
import math
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from services.scoring import cli
from shared.runtime import UserError

FIRST, LAST = date(2021, 1, 1), date(2022, 12, 31)
CUTOFFS = [date(2021, 10, 1), *(date(2022, month, 1) for month in (1, 4, 7, 10))]
TESTED = CUTOFFS[len(CUTOFFS) // 4 :]
HORIZON = timedelta(days=90)
SCORECARDS = """
metrics:
  days_silent: {since_last: active}
  silence: {silence_risk: active}
scorecards:
  - id: all
    dimensions:
      use: {weight: 1, measures: {days_silent: {weight: 1, curve: [[0, 100], [100, 0]]}}}
bands: {healthy: 70, critical: 0}
"""
AGAINST = SCORECARDS.replace("[[0, 100], [100, 0]]", "[[0, 100], [3, 0]]")

Event = dict[str, Any]
Use = dict[str, list[date]]


def history() -> list[Event]:
    """Sixty accounts, each with its own rhythm; some leave, some of those come back for a day."""
    chance = random.Random(5)
    events: list[Event] = []
    for number in range(60):
        account, rate = f"a{number}", chance.choice([0.02, 0.05, 0.2, 0.6])
        begins = FIRST + timedelta(days=chance.randrange(700) if number else 0)
        if number == 2:  # new at the first of the cut-offs
            begins, rate = TESTED[0] - timedelta(days=5), 0.6
        ends = begins + timedelta(days=chance.choice([60, 200, 400, 2000]))
        day = begins
        while day <= LAST:
            if (day < ends and chance.random() < rate) or (number == 1 and day == LAST):
                events.append(event(account, day, len(events)))
            day += timedelta(days=1)
    return sorted(events, key=lambda each: each["time"])


def event(account: str, day: date, number: int, **others: Any) -> Event:
    time = f"{day.isoformat()}T{number % 24:02}:00:00Z"
    return {"id": str(number), "type": "used", "account_id": account, "time": time} | others


def write(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def configuration(path: Path, scorecards: str = SCORECARDS) -> Path:
    path.mkdir()
    (path / "scorecards.yaml").write_text(scorecards)
    (path / "product.yaml").write_text("events: {active: [used]}\n")
    return path


def run(*arguments: object) -> dict[str, Any]:
    """What the command prints with --json."""
    app = typer.Typer()
    cli.register(app)
    result = CliRunner().invoke(app, ["backtest", *map(str, arguments), "--json"])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two configurations on the history, and the page in `page`."""
    place = tmp_path_factory.mktemp("backtest")
    first = configuration(place / "config")
    second = configuration(place / "<other>", AGAINST)
    file, page = write(place / "events", history()), place / "page.html"
    found = run(file, "--config", first, "--against", second, "--report", page)
    return found | {"page": page.read_text()}


def use_of(events: Iterable[Event]) -> Use:
    """The days on which each account was in use."""
    days: Use = defaultdict(list)
    for each in events:
        if each["type"] == "used":
            days[each["account_id"]].append(date.fromisoformat(each["time"][:10]))
    return days


def risk(days: list[date], cutoff: date) -> float | None:
    """Silence risk, term by term as docs/scoring.md has it; None for the young."""
    before = sorted({day for day in days if day < cutoff})
    if (cutoff - before[0]).days < 14:
        return None
    active = sum(math.pow(2, -(before[-1] - day).days / 120) for day in before)
    silent = max(1, (cutoff - before[-1]).days)
    mass, prior, counted = 120 / math.log(2) + 90, 90 / 365, min(active, 30)
    log_odds = (prior + counted) * math.log((mass + silent) / mass) - math.log(1 + 2 * counted)
    alive = 1 / (1 + math.exp(log_odds))
    quiet = ((mass + silent) / (mass + silent + 90)) ** (prior + active)
    return float(1 - alive * (1 - quiet))


def by_hand(use: Use, cutoff: date) -> list[tuple[float | None, float, bool]]:
    """Of each account asked about: its risk, 1 − score/100, and whether it fell silent."""
    rows = []
    for days in use.values():
        if any(cutoff - HORIZON <= day < cutoff for day in days):
            fell = not any(cutoff <= day < cutoff + HORIZON for day in days)
            since = (cutoff - max(day for day in days if day < cutoff)).days - 1
            rows.append((risk(days, cutoff), min(since, 100) / 100, fell))
    return rows


def pairs(rows: Iterable[tuple[float, bool]]) -> float | None:
    """The share of pairs in the right order; None with fewer than three of either kind."""
    rows = list(rows)
    came, others = [s for s, fell in rows if fell], [s for s, fell in rows if not fell]
    if min(len(came), len(others)) < 3:
        return None
    wins = sum((one > other) + (one == other) / 2 for one in came for other in others)
    return wins / len(came) / len(others)


def test_every_cutoff_says_what_counting_by_hand_says(tmp_path: Path) -> None:
    events = history()
    found = run(write(tmp_path / "events", events), "--config", configuration(tmp_path / "config"))
    use = use_of(events)
    cutoffs = found["judgement"]["cutoffs"]
    assert [each["cutoff"] for each in cutoffs] == [day.isoformat() for day in TESTED]
    assert found["run_in"] == [day.isoformat() for day in CUTOFFS[: len(CUTOFFS) // 4]]
    young = 0
    for cutoff, each in zip(TESTED, cutoffs, strict=True):
        rows = by_hand(use, cutoff)
        known = [(said, fell) for said, _, fell in rows if said is not None]
        young += len(rows) - len(known)
        assert each["all"] == {"n": len(rows), "happened": sum(fell for _, _, fell in rows)}
        assert each["unknown"]["silence_risk"]["n"] == len(rows) - len(known)
        assert each["figures"]["silence_risk"]["auc"] == pytest.approx(pairs(known), abs=1e-9)
        scored = [(score, fell) for _, score, fell in rows]
        assert each["figures"]["score"]["auc"] == pytest.approx(pairs(scored), abs=1e-9)
        healthy = [fell for _, score, fell in rows if score <= 0.3]
        assert each["bands"]["healthy"] == {"n": len(healthy), "happened": sum(healthy)}
    assert young
    assert any(each["figures"]["score"]["auc"] for each in cutoffs)


def test_all_accounts_together_are_calibrated_and_counted(compared: dict[str, Any]) -> None:
    found = compared["judgement"]
    use = use_of(history())
    rows = [row for cutoff in TESTED for row in by_hand(use, cutoff)]
    pooled = found["calibration"]["silence_risk"]["bins"]
    assert [each["n"] for each in pooled] == [
        sum(said is not None and math.floor(said * 10) == number for said, _, _ in rows)
        for number in range(10)
    ]
    assert sum(each["n"] for each in found["bands"].values()) == len(rows)
    ranked = [each for each in found["cutoffs"] if each["figures"]["score"]["auc"] is not None]
    assert found["means"]["score"]["cutoffs"] == len(ranked)
    assert found["means"]["score"]["auc"] == pytest.approx(
        sum(each["figures"]["score"]["auc"] for each in ranked) / len(ranked)
    )


def test_a_second_configuration_is_compared_on_the_same_accounts(
    compared: dict[str, Any],
) -> None:
    use = use_of(history())
    for cutoff, each in zip(TESTED, compared["comparison"]["differences"]["score"], strict=True):
        rows = by_hand(use, cutoff)
        first = pairs((score, fell) for _, score, fell in rows)
        second = pairs((min(score * 100 / 3, 1.0), fell) for _, score, fell in rows)
        assert each["n"] == len(rows)
        assert first is not None
        assert second is not None
        assert each["auc"] == pytest.approx(second - first)
    means = compared["comparison"]["means"]
    assert means["score"]["auc"]["mean"] < -0.01  # three days say less than a hundred
    assert means["silence_risk"]["auc"]["mean"] == 0


def test_who_left_or_is_no_customer_is_not_asked_about(tmp_path: Path) -> None:
    profile = {"type": "account.updated", "properties": {"excluded": True}}
    events = [
        *history(),
        event("a2", FIRST, 90_000, **profile),
        event("a3", TESTED[0] - timedelta(days=1), 90_001, type="account.closed"),
    ]
    found = run(write(tmp_path / "events", events), "--config", configuration(tmp_path / "config"))
    use = use_of(events)
    for cutoff, each in zip(TESTED, found["judgement"]["cutoffs"], strict=True):
        assert each["all"]["n"] == len(by_hand({**use, "a2": [], "a3": []}, cutoff))


def test_lines_that_are_refused_are_counted_and_users_find_their_account(tmp_path: Path) -> None:
    joined = event("a5", FIRST, 90_000, type="user.joined", user_id="u")
    unnamed = event("", date(2022, 6, 1), 90_001, user_id="u") | {"account_id": None}
    stranger = unnamed | {"user_id": "v"}
    events = [*history(), joined, unnamed, stranger, {"id": "x"}, "no event"]
    found = run(write(tmp_path / "events", events), "--config", configuration(tmp_path / "config"))
    refused = {"unknown_account": 1, "missing_type": 1, "undecodable": 1}
    assert (found["refused"], found["events"]) == (refused, len(history()) + 2)


@pytest.mark.parametrize("form", ["json", "csv"])
def test_outcomes_may_come_from_a_file_of_labels(tmp_path: Path, form: str) -> None:
    events = history()
    use = use_of(events)
    labels = [
        (cutoff.isoformat(), account, float(number % 3 == 0))
        for cutoff in (date(2022, 5, 7), date(2023, 1, 20))
        for number, account in enumerate(sorted(use))
        if use[account][0] < cutoff
    ]
    names = ("cutoff", "account_id", "outcome")
    path = tmp_path / "outcomes"
    if form == "json":
        write(path, [dict(zip(names, row, strict=True)) for row in labels])
    else:
        path.write_text("\n".join(",".join(map(str, row)) for row in [names, *labels]))
    config = configuration(tmp_path / "config")
    found = run(write(tmp_path / "events", events), "--config", config, "--outcomes", path)
    cutoffs = found["judgement"]["cutoffs"]
    assert [(each["cutoff"], each["all"]) for each in cutoffs] == [
        (day, {"n": len(of_day), "happened": sum(of_day)})
        for day in ("2022-05-07", "2023-01-20")
        for of_day in [[outcome for cutoff, _, outcome in labels if cutoff == day]]
    ]


def test_outcomes_may_come_as_days_of_churn(tmp_path: Path) -> None:
    events = history()
    use = use_of(events)
    churned = {account: days[-1] for account, days in use.items() if days[-1] < date(2022, 9, 1)}
    rows = [
        {"account_id": account, "churned_at": f"{later}T12:00:00Z"}
        for account, day in churned.items()
        for later in (day, LAST)  # the first time counts
    ]
    config = configuration(tmp_path / "config")
    path = write(tmp_path / "outcomes", rows)
    found = run(write(tmp_path / "events", events), "--config", config, "--outcomes", path)
    for cutoff, each in zip(TESTED, found["judgement"]["cutoffs"], strict=True):
        asked = [
            account
            for account, days in use.items()
            if days[0] < cutoff and churned.get(account, cutoff) >= cutoff
        ]
        came = [a for a in asked if a in churned and churned[a] < cutoff + HORIZON]
        assert each["all"] == {"n": len(asked), "happened": len(came)}


def test_a_band_without_accounts_has_its_line_too(tmp_path: Path) -> None:
    config = configuration(tmp_path / "config", SCORECARDS.replace("70,", "70, nearly: 69.99,"))
    page = tmp_path / "page.html"
    run(write(tmp_path / "events", history()), "--config", config, "--report", page)
    assert "nearly" in page.read_text()


def test_the_page_is_one_file_that_needs_no_other(compared: dict[str, Any]) -> None:
    page = compared["page"]
    assert page.count("<svg") == 4
    assert "&lt;other&gt;" in page
    assert "<other>" not in page
    assert not any(word in page for word in ("http:", "https:", "src=", "<script", "<link"))


@pytest.mark.parametrize(
    ("days", "sentence"),
    [
        (0, "There are no events in the files."),
        (60, "has no cut-off with 90 days behind it"),
    ],
)
def test_what_is_too_short_is_said(tmp_path: Path, days: int, sentence: str) -> None:
    events = [event("a", FIRST + timedelta(days=day), day) for day in range(days)]
    with pytest.raises(UserError, match=sentence):
        run(write(tmp_path / "events", events), "--config", configuration(tmp_path / "config"))


def test_configurations_with_different_days_are_not_compared(tmp_path: Path) -> None:
    first = configuration(tmp_path / "config")
    second = configuration(tmp_path / "other")
    (second / "product.yaml").write_text("time_zone: Asia/Tokyo\nevents: {active: [used]}\n")
    with pytest.raises(UserError, match="days that begin at different times"):
        run(write(tmp_path / "events", history()[:1]), "--config", first, "--against", second)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"account_id": "a"}\n', "has a row without outcome"),
        ("account_id,churned_at\na,soon\n", "Invalid isoformat string"),
        ("cutoff,account_id,outcome\n2021-01-01,a,maybe\n", "an outcome is 1 or 0"),
        ("cutoff,account_id,outcome\n1969-12-31,a,1\n", "not a date from 1970 to 2199"),
        ("cutoff,account_id,outcome\n9999-12-31,a,1\n", "not a date from 1970 to 2199"),
        ("cutoff,account_id,outcome\n2099-12-31,a,1\n", "cut-off on 2099-12-31, and the history"),
        ("cutoff,account_id,outcome\n2020-12-31,a,1\n", "cut-off on 2020-12-31, and the history"),
        ("", "There are no outcomes"),
        ("{", "is damaged"),
    ],
)
def test_outcomes_that_cannot_be_read_are_said(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "outcomes").write_text(content)
    config = configuration(tmp_path / "config")
    file = write(tmp_path / "events", history()[:1])
    with pytest.raises(UserError, match=sentence):
        run(file, "--config", config, "--outcomes", tmp_path / "outcomes")


def test_the_command_ends_as_the_others_do(tmp_path: Path) -> None:
    def status(*arguments: object) -> tuple[int, str]:
        command = [sys.executable, "-m", "services.cli", "backtest", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    file = write(tmp_path / "events", history())
    config = configuration(tmp_path / "config")
    assert status(file, "--config", config)[0] == 0
    with_fault = write(tmp_path / "with-fault", [*history(), "no event"])
    code, said = status(with_fault, "--config", config)
    assert code == 0
    assert f"{with_fault}, line {len(history()) + 1}: " in said
    assert status(tmp_path / "nowhere") == (1, f"{tmp_path / 'nowhere'} does not exist.\n")
    code, said = status(file, "--dormant-after", "three months")
    assert code == 2
    assert "number of days" in said
