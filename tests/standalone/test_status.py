"""`myaku status`, as a person reads it."""

from io import StringIO

import httpx2
from msgspec.structs import replace
from rich.console import Console

from services.standalone import probes, status
from services.standalone.ports import free_port
from services.standalone.status import Row
from tests.up_files import UP_FILE

SCORING = replace(UP_FILE, pids={"scoring": 7})


def shown(*rows: Row) -> str:
    console = Console(width=160, record=True, file=StringIO())
    status.show(list(rows), console)
    return console.export_text()


def test_a_clock_reads_like_the_times_of_the_api() -> None:
    said = probes.Report({}, lag_records=1200, clock_seconds=1_795_558_862.065)
    row = status.row(SCORING, "scoring", said)
    assert row.clock == "2026-11-24T22:21:02.065Z"
    for words in ("yes", "7", "1,200", "2026-11-24T22:21:02.065Z"):
        assert words in shown(row)


async def test_a_service_that_does_not_answer() -> None:
    async with httpx2.AsyncClient() as client:
        said = await probes.ask(client, f"http://127.0.0.1:{free_port()}")
    assert "no (starts, or does not answer)" in shown(status.row(SCORING, "ingest", said))


def test_a_service_that_waits_says_for_what() -> None:
    said = probes.Report({"kafka": "cannot be reached"})
    assert "no (kafka: cannot be reached)" in shown(status.row(SCORING, "ingest", said))


def test_a_source_that_has_fallen_silent_is_named() -> None:
    said = probes.Report({}, stale=("web-app",))
    row = status.row(SCORING, "scoring", said)
    assert "scoring: the source web-app has fallen silent: its accounts are held." in shown(row)
    assert '"web-app"' in status.as_json([row])


def test_a_clock_that_is_behind_is_told_as_that_and_not_as_a_fault() -> None:
    behind = probes.Report({}, behind_seconds=93_784, held_by=("ingest sends no tick",))
    said = shown(status.row(SCORING, "scoring", behind))
    note = "scoring: the clock is 1 day, 2:03:04 behind the time of day: ingest sends no tick."
    assert note in said
    assert "within minutes of a start, of going live" in said
    assert "within minutes" not in shown(status.row(SCORING, "scoring", probes.Report({})))
