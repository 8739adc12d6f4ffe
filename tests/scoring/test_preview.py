"""What `myaku config preview` foretells is what publishing then does."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from services.cli import app
from services.scoring.engine import RawRecord, State, advance, decode
from services.scoring.preview.compare import compare
from services.scoring.preview.crossings import crossings
from services.scoring.preview.words import as_json, said
from shared import database
from shared.configuration import Level, Rule
from shared.configuration.files import read_document
from shared.events import decode_health
from shared.times import iso_time
from tests.scoring.random_log import DAY_MS, START_MS, RandomLog, config, document, event, tick
from tests.scoring.test_store import Worker, comparable, read

PARTITION = 3


def rule(trigger: float = 50, clear: float = 55, **fields: Any) -> Rule:
    levels = [Level("warning", trigger, clear), Level("critical", trigger - 20, clear - 20)]
    if fields.get("direction") == "above":
        levels = [Level("info", trigger, clear)]
    return Rule(id="low", title="x", kind="threshold", levels=levels, **fields)


@pytest.mark.parametrize(
    ("old", "new", "begins", "ends"),
    [
        (60.0, 49.9, [("low", "warning")], []),
        (60.0, 29.0, [("low", "critical")], []),
        (60.0, 50.0, [], []),
        (40.0, 29.0, [], []),  # begun before
        (40.0, 54.9, [], []),  # not clear yet
        (40.0, 55.0, [], ["low"]),
        (None, 40.0, [("low", "warning")], []),
        (40.0, None, [], []),
    ],
)
def test_lines_that_scores_cross(
    old: float | None, new: float | None, begins: list[Any], ends: list[str]
) -> None:
    rules = {"low": rule()}
    assert crossings(rules, rules, old, new) == (begins, ends)


def test_lines_of_rules_that_are_changed_new_or_gone() -> None:
    assert crossings({"low": rule()}, {}, 40, 40) == ([], ["low"])
    assert crossings({}, {"low": rule()}, 40, 40) == ([("low", "warning")], [])
    assert crossings({"low": rule()}, {"low": rule(30, 35)}, 40, 40) == ([], ["low"])
    high = {"high": rule(80, 75, direction="above")}
    assert crossings({}, high, 70, 90) == ([("high", "info")], [])
    assert crossings(high, high, 90, 75) == ([], ["high"])


def advanced(state: State, *records: tuple[bytes | None, bytes | None]) -> Any:
    batch = decode((RawRecord(at, *record) for at, record in enumerate(records)), state)
    return advance(state, batch, lambda _: PARTITION)


def newest(state: State, known: dict[str, Any], effects: Any) -> dict[str, Any]:
    for account, row in effects.health.items():
        known[state.accounts.ids[account]] = decode_health(row.record)
    return known


@pytest.mark.parametrize("seed", range(6))
def test_what_is_foretold_is_what_publishing_then_does(seed: int) -> None:
    """At the same instant: a tick that does not move the clock, and then the new one's."""
    before, after = document(seats=bool(seed % 2)), document(seats=not seed % 2, window="60d")
    log = [record for batch in RandomLog(seed).batches(8) for _, *record in batch]
    known: dict[str, Any] = {}
    state, other = State(PARTITION, 7), State(PARTITION, 7)
    records = [
        config(before),
        *((key, value) for key, value in log if b"config" not in (key or b"")),
    ]
    for each in (state, other):
        known = newest(each, {}, advanced(each, *records))
        now_ms = each.clock.now_ms or 0
        newest(each, known, advanced(each, tick(now_ms)))
    found = compare(other, after)
    then = newest(state, dict(known), advanced(state, config(after), tick(now_ms)))
    listed = {
        name
        for name, health in then.items()
        if not health.stale and health.profile.get("closed") is not True
    }
    assert found.accounts == len(listed)
    bands: dict[tuple[str, str], int] = {}
    for name in listed:
        pair = known[name].band or "no score", then[name].band or "no score"
        bands[pair] = bands.get(pair, 0) + 1
    assert dict(found.bands) == bands
    for moved in (*found.rises, *found.falls):
        assert (moved.old, moved.new) == (
            known[moved.account_id].score,
            then[moved.account_id].score,
        )
    both = [
        name for name in listed if known[name].score is not None and then[name].score is not None
    ]
    ups = sorted((then[name].score - known[name].score for name in both), reverse=True)[:10]
    assert [round(one.new - one.old, 1) for one in found.rises] == [
        round(up, 1) for up in ups if up > 0.01
    ]
    assert round(found.new_coverage, 6) == round(sum(then[name].coverage for name in listed), 6)


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = database.create(database_url)
    yield made
    await made.dispose()


def directory_of(found: dict[str, Any], path: Path) -> Path:
    for part in ("product", "scorecards", "alerts", "routing", "engagement"):
        (path / f"{part}.yaml").write_text(yaml.safe_dump(found[part], sort_keys=False))
    return path


def with_rule(found: dict[str, Any]) -> dict[str, Any]:
    level = {"severity": "warning", "trigger": 90, "clear": 95}
    low = {"id": "low", "title": "low", "kind": "threshold", "levels": [level]}
    return found | {"alerts": {"rules": [low]}}


async def test_the_command_reads_the_database_and_changes_nothing(
    engine: AsyncEngine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await Worker.start(engine)
    records = [
        config(document()),
        tick(START_MS),
        *(event(f"e{n}", START_MS + n, account_id=f"a{n % 3}", user_id="u") for n in range(20)),
        event("closed", START_MS + 30, account_id="gone", type="account.closed"),
        tick(START_MS + DAY_MS),
    ]
    await worker.commit([RawRecord(at, *record) for at, record in enumerate(records)])
    before = comparable((await read(engine, worker.held)).state)
    monkeypatch.setenv("MYAKU_DATABASE_URL", database_url)
    directory = directory_of(with_rule(document(seats=False)), tmp_path)
    printed = await _run(["config", "preview", str(directory)])
    assert "of 3 accounts would change band." in printed
    assert "sums" in printed.partition("Not known until")[2]
    assert "low (warning)  begin  3" in printed
    shown = json.loads(await _run(["config", "preview", str(directory), "--json"]))
    assert shown["alerts"]["begin"] == [{"rule": "low", "severity": "warning", "accounts": 3}]
    assert comparable((await read(engine, worker.held)).state) == before
    found = compare((await read(engine, worker.held)).state, read_document(directory))
    assert (as_json(found), "\n".join(said(found)) + "\n") == (shown, printed)


def test_what_is_not_there_leaves_no_gap_and_an_override_is_told() -> None:
    state = State(PARTITION, 7)
    reason = {
        "author": "ana",
        "reason": "They told us.",
        "expires_at": iso_time(START_MS + 9 * DAY_MS),
    }
    acts = {"score": 80.0, **reason}
    advanced(
        state,
        config(document()),
        tick(START_MS),
        *(event(f"e{n}", START_MS + n, account_id=f"a{n}", user_id="u") for n in range(2)),
        event("o", START_MS + 2, account_id="a0", type="account.overridden", properties=acts),
        tick(START_MS + DAY_MS),
    )
    found = compare(state, document())
    assert said(found) == [
        "0 of 2 accounts would change band.",
        "A person has set the score of 1: there it stays.",
        "",
        f"Coverage would be {found.new_coverage / 2:.2f} on average,"
        f" and is {found.old_coverage / 2:.2f} now.",
        "",
        "No score would cross a line of the alerts' rules.",
    ]


async def _run(arguments: list[str]) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert result.exit_code == 0, result.output
    return str(result.stdout)
