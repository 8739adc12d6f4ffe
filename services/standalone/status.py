"""`myaku status`: what runs in a data directory, and how it is."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx2
from rich.console import Console
from rich.table import Table

from services.standalone import probes
from shared.data_dir import DataDir, UpFile
from shared.runtime import UserError


@dataclass(frozen=True)
class Row:
    """One service."""

    service: str
    ready: bool
    waiting: dict[str, str]
    pid: int | None
    lag_records: int | None
    clock: str | None


async def report(data_dir: DataDir) -> list[Row]:
    """How each service is. Raises UserError where nothing runs."""
    up_file = data_dir.running()
    if up_file is None:
        raise UserError(f"Nothing runs in {data_dir.path}: start it with `myaku up`.")
    async with httpx2.AsyncClient() as client:
        return [
            _row(up_file, name, await probes.ask(client, address))
            for name, address in up_file.operations.items()
        ]


def _row(up_file: UpFile, name: str, said: probes.Report) -> Row:
    clock = said.clock_seconds
    return Row(
        service=name,
        ready=not said.waiting,
        waiting=said.waiting,
        pid=up_file.pids.get(name),
        lag_records=said.lag_records,
        clock=datetime.fromtimestamp(clock, UTC).isoformat() if clock else None,
    )


def show(rows: list[Row], console: Console) -> None:
    """As a table, for people."""
    table = Table("service", "ready", "process", "records behind", "clock")
    for row in rows:
        why = ", ".join(f"{what}: {reason}" for what, reason in row.waiting.items())
        table.add_row(
            row.service,
            "yes" if row.ready else f"no ({why})",
            str(row.pid or "-"),
            "-" if row.lag_records is None else f"{row.lag_records:,}",
            row.clock or "-",
        )
    console.print(table)


def as_json(rows: list[Row]) -> str:
    """As JSON, for programs."""
    return json.dumps({"services": [vars(row) for row in rows]}, indent=2)
