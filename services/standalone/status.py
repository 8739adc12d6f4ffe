"""`myaku status`: what runs in a data directory, and how it is."""

import json
from dataclasses import dataclass
from datetime import timedelta

import httpx2
from rich.console import Console
from rich.table import Table

from services.standalone import probes
from shared.data_dir import DataDir, UpFile
from shared.runtime import UserError
from shared.times import iso_time

CATCHES_UP = (
    "A clock catches up within minutes of a start, of going live or of an outage. One that stands"
    " for longer is a fault: docs/operations.md, MyakuClockBehind."
)


@dataclass(frozen=True)
class Row:
    """One service."""

    service: str
    ready: bool
    waiting: dict[str, str]
    pid: int | None
    lag_records: int | None
    clock: str | None
    behind_seconds: int = 0
    held_by: tuple[str, ...] = ()
    stale_sources: tuple[str, ...] = ()


async def report(data_dir: DataDir) -> list[Row]:
    """How each service is. Raises UserError where nothing runs."""
    up_file = data_dir.running()
    if up_file is None:
        raise UserError(f"Nothing runs in {data_dir.path}: start it with `myaku up`.")
    async with httpx2.AsyncClient() as client:
        return [
            row(up_file, name, await probes.ask(client, address))
            for name, address in up_file.operations.items()
        ]


def row(up_file: UpFile, name: str, said: probes.Report) -> Row:
    """What a service said, with what we know of it."""
    clock = said.clock_seconds
    return Row(
        service=name,
        ready=not said.waiting,
        waiting=said.waiting,
        pid=up_file.pids.get(name),
        lag_records=said.lag_records,
        clock=iso_time(round(clock * 1000)) if clock else None,
        behind_seconds=said.behind_seconds,
        held_by=said.held_by,
        stale_sources=said.stale,
    )


def show(rows: list[Row], console: Console) -> None:
    """As a table, for people."""
    table = Table("service", "ready", "process", "records behind", "clock")
    for each in rows:
        table.add_row(
            each.service,
            "yes" if each.ready else f"no ({_why(each.waiting)})",
            str(each.pid or "-"),
            "-" if each.lag_records is None else f"{each.lag_records:,}",
            each.clock or "-",
        )
    console.print(table)
    for each in rows:
        for holder in each.held_by:
            behind = timedelta(seconds=each.behind_seconds)
            note = f"{each.service}: the clock is {behind} behind the time of day: {holder}."
            console.print(note, soft_wrap=True, markup=False)
        for source in each.stale_sources:
            note = f"{each.service}: the source {source} has fallen silent: its accounts are held."
            console.print(note, soft_wrap=True, markup=False)
    if any(each.held_by for each in rows):
        console.print(CATCHES_UP, soft_wrap=True)


def _why(waiting: dict[str, str]) -> str:
    if probes.NO_ANSWER in waiting:
        return "starts, or does not answer"
    return ", ".join(f"{what}: {reason}" for what, reason in waiting.items())


def as_json(rows: list[Row]) -> str:
    """As JSON, for programs."""
    return json.dumps({"services": [vars(each) for each in rows]}, indent=2)
