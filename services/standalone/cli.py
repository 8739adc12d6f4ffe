"""The commands of this room: `myaku up`, `myaku demo` and `myaku status`."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import make_url

from services.standalone import status as status_report
from services.standalone import up as standalone
from services.standalone.demo import demo as simulated
from services.standalone.installation import Installation
from shared.configuration.files import SHIPPED, shipped_parts
from shared.data_dir import DEFAULT, DataDir

DataDirOption = Annotated[
    Path, typer.Option("--data-dir", help="Where the database, logs and up.json are.")
]


class Clock(StrEnum):
    """What moves time."""

    WALL = "wall"
    EVENTS = "events"


def register(app: typer.Typer) -> None:
    """Mount the room's commands."""

    @app.command()
    def up(
        data_dir: DataDirOption = DEFAULT,
        config: Annotated[
            Path, typer.Option(envvar="MYAKU_CONFIG_DIR", help="The configuration directory.")
        ] = SHIPPED,
        clock: Annotated[
            Clock, typer.Option(help="events: time is what replayed files say.")
        ] = Clock.WALL,
        kafka: Annotated[
            str | None, typer.Option(help="Your Kafka (host:port) instead of the embedded broker.")
        ] = None,
        database: Annotated[
            str | None, typer.Option(help="Your PostgreSQL (URL) instead of the embedded one.")
        ] = None,
        partitions: Annotated[
            int, typer.Option(min=1, max=1000, help="Number of partitions when the log is made.")
        ] = 4,
        deliver_history: Annotated[
            bool, typer.Option("--deliver-history", help="Also send what a history's alerts say.")
        ] = False,
        ports_from: Annotated[
            int | None,
            typer.Option(
                min=0, max=65000, help="N: events at N+1, scoring N+2, alerts N+3; 0: any free."
            ),
        ] = None,
    ) -> None:
        """Run everything: broker, database and services, until Ctrl-C."""
        options = standalone.Options(
            data_dir=data_dir,
            config=config,
            clock=clock.value,
            kafka=kafka,
            database=database,
            partitions=partitions,
            deliver_history=deliver_history,
            ports_from=ports_from,
        )
        console = Console()

        async def work(installation: Installation) -> None:
            show_where(installation, console)
            await installation.watch()

        asyncio.run(run_until_told(options, console, work))

    @app.command()
    def demo(
        data_dir: DataDirOption = simulated.DIRECTORY,
        once: Annotated[bool, typer.Option("--once", help="End after the history.")] = False,
    ) -> None:
        """A simulated product: 90 days at once, then live over HTTP and Kafka, until Ctrl-C."""
        simulated.make_directory(data_dir)
        options = standalone.Options(data_dir, simulated.CONFIG, clock="events", ports_from=0)
        console = Console()

        async def work(installation: Installation) -> None:
            await simulated.Demo(installation, console).run(once=once)

        asyncio.run(run_until_told(options, Console(stderr=True), work))

    @app.command()
    def status(
        data_dir: DataDirOption = DEFAULT,
        as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    ) -> None:
        """How each service is: ready or why not, how far behind, and its clock."""
        rows = asyncio.run(status_report.report(DataDir(data_dir)))
        if as_json:
            typer.echo(status_report.as_json(rows))
        else:
            status_report.show(rows, Console())


async def run_until_told(
    options: standalone.Options,
    console: Console,
    work: Callable[[Installation], Awaitable[None]],
) -> None:
    """Run everything until the work is done or a signal comes; a second one stops at once."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    try:
        async with standalone.running(options, console) as installation:
            await work(installation)
    except asyncio.CancelledError:
        console.print("Stopped.")


def show_where(installation: Installation, console: Console) -> None:
    """Say that all is ready, and where it is."""
    lines = f"Ready; Ctrl-C stops.\n{where(installation, secrets=console.is_terminal)}"
    console.print(lines, markup=False, highlight=False, soft_wrap=True)


def where(installation: Installation, *, secrets: bool) -> str:
    """Where everything is. Secrets are for a terminal: what is redirected may be kept for long."""
    up_file = installation.up_file
    in_up_json = f"in {installation.data_dir.path}/up.json"
    database_url = make_url(up_file.database_url)
    lines = {
        "Kafka": up_file.kafka,
        "Database": database_url.render_as_string(hide_password=not secrets),
        "Events": f"{up_file.ingest}/v1/events",
        "Write key": up_file.write_key if secrets else in_up_json,
        "Scoring": f"{up_file.scoring}/v1/accounts",
        "Alerts": f"{up_file.alerts}/v1/alerts",
        "Token": up_file.token if secrets else in_up_json,
        "Config": f"{up_file.config}{_as_shipped(Path(up_file.config))}",
        "Logs": installation.data_dir.logs,
        "Clock": up_file.clock,
    }
    return "\n".join(f"{name:<9} {place}" for name, place in lines.items())


def _as_shipped(config: Path) -> str:
    parts = shipped_parts(config)
    return f" ({', '.join(f'{part}.yaml' for part in parts)} as shipped)" if parts else ""
