"""docs/configuration.md: its scorecard runs; its numbers and sentences are the program's."""

import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.configuration import Signals, revision, scoring_revision
from shared.configuration.files import SHIPPED, read_document
from tests.admin.commands import myaku
from tests.scoring.histories import DAY, HOUR, START, config, event, tick
from tests.scoring.twins import both

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "configuration.md").read_text()
SILENT_DAYS = 9


def blocks(language: str) -> list[str]:
    """The page's code blocks of a language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.M | re.S)
    return [text for named, text in found if named == language]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The page's scorecard in a directory of its own."""
    scorecards, *_ = blocks("yaml")
    (tmp_path / "my-config").mkdir()
    (tmp_path / "my-config" / "scorecards.yaml").write_text(scorecards)
    return tmp_path / "my-config"


def rows(account: str) -> dict[str, list[str]]:
    """The cells of the table that belongs to an account, by measure."""
    table = PAGE.partition(f"\n{account}'s score is")[0].rpartition("| --- |\n")[2]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.split("\n")]
    return {name: others for name, *others in filter(None, cells)}


def shown(driver: dict[str, Any]) -> list[str]:
    """A driver as the page shows it."""
    known = driver["value"] is not None
    value = f"{driver['value']:g}" if known else "unknown"
    score = f"{driver['score']:.1f}" if known else "–"
    return [value, score, f"{driver['weight']:g}", f"{driver['contribution']:.1f}"]


@pytest.mark.parametrize("account", ["Acme", "Beta"])
def test_the_numbers_are_the_engines(directory: Path, account: str) -> None:
    used = START + HOUR
    events = [event(account, used, id=f"use-{n}", user_id=f"u{n}") for n in range(3)]
    events += [event(account, used, "report.exported", id=f"x{n}", user_id="u0") for n in range(2)]
    if account == "Acme":
        events.append(event(account, used, "account.updated", properties={"seats": 10}))
    later = tick(START + (SILENT_DAYS + 1) * DAY)
    said = both(config(read_document(directory)), tick(START), *events, later)
    health = said.health[account]

    assert rows(account) == {driver["measure"]: shown(driver) for driver in health["drivers"]}
    known = f"and {health['coverage']} of it is known"
    assert f"{account}'s score is {health['score']}, `{health['band']}`, {known}." in PAGE


async def test_what_check_says_is_what_the_page_shows(directory: Path) -> None:
    right, wrong = blocks("")
    said = await myaku("config", "check", str(directory))
    assert said.status == 0, said.error
    output = said.output.replace(str(directory), "my-config").splitlines()
    assert set(right.splitlines()) <= set(output)
    document = read_document(directory)
    assert output[-2:] == [
        f"revision         {revision(document)}",
        f"  of its scores  {scoring_revision(document)}",
    ]

    path = directory / "scorecards.yaml"
    path.write_text(path.read_text().replace("report.exported, window: 28d", "report.exported"))
    said = await myaku("config", "check", str(directory))
    assert (said.status, said.output) == (1, "")
    assert said.error.replace(str(directory), "my-config") == wrong


async def test_a_secret_that_is_missing_is_a_warning(directory: Path) -> None:
    routing = (SHIPPED / "routing.yaml").read_text()
    hook = '{type: webhook, url: "https://example.com", secret: "secret://CRM"}'
    assert "  log: {type: log}\n" in routing
    text = routing.replace("  log: {type: log}\n", f"  log: {{type: log}}\n  crm: {hook}\n")
    (directory / "routing.yaml").write_text(text)
    said = await myaku("config", "check", str(directory))
    assert said.status == 0
    assert said.error == "Warning: nothing will be sent to crm until MYAKU_SECRET_CRM is set.\n"
    quiet = await myaku("config", "check", str(directory), MYAKU_SECRET_CRM="whsec_x")
    assert quiet.error == ""


async def test_a_misspelt_file_is_not_passed_over_in_silence(directory: Path) -> None:
    (directory / "scorecards.yaml").rename(directory / "scorecard.yaml")
    for name in ("product.yaml", "kustomization.yaml"):
        shutil.copy(SHIPPED / name, directory)
    said = await myaku("config", "check", str(directory))
    assert said.status == 0
    assert "4 bands (no such file: as shipped)\n" in said.output
    path = directory / "scorecard.yaml"
    assert said.error == f"Warning: {path} is no part of a configuration: not read.\n"


def test_the_signals_are_as_where_nothing_is_said_of_them() -> None:
    (said,) = [text for text in blocks("yaml") if text.startswith("signals:")]
    assert msgspec.yaml.decode(said, type=dict[str, Signals]) == {"signals": Signals()}


def test_every_file_is_in_the_table() -> None:
    parts = read_document(SHIPPED)
    assert set(re.findall(r"^\| `(\w+)\.yaml` \|", PAGE, re.M)) == set(parts)
