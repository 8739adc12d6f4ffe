"""`myaku log`: the log that the deployment stands on, and what to do when it is another."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.admin.adoption import Start, adopt, starts
from services.admin.standing import Source, Standing, sources, standings
from shared import database
from shared.command_settings import CommandSettings

app = typer.Typer(help="The log, and what the database knows of it.", no_args_is_help=True)

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        help="Where `myaku up` runs; without it MYAKU_KAFKA and MYAKU_DATABASE_URL say whose."
    ),
]


@app.command(epilog=CommandSettings.explain())
def show(data_dir: DataDirOption = None) -> None:
    """Say of each partition what the broker has and what the database believes, and if they fit."""
    settings = CommandSettings.of(data_dir, "MYAKU_KAFKA")
    found, read = asyncio.run(_read(settings))
    console = Console(width=None if Console().is_terminal else 160)
    console.print(_table(found))
    console.print(_source_table(read))
    misfits = [words for one in found if (words := one.misfit())]
    if misfits:
        typer.echo(f"The log and the database do not fit: {misfits[0]}.")
        typer.echo("See `myaku log adopt`; for another number of partitions, docs/operations.md.")
        raise typer.Exit(1)
    typer.echo("The log and the database fit.")


@app.command(name="adopt", epilog=CommandSettings.explain())
def adopt_log(
    data_dir: DataDirOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
) -> None:
    """Go on with the log that the broker has now: one made anew, cut, or copied to a new cluster.

    The state stays: nothing counts twice, sequences go on, no clock goes back. What is lost with
    the old log is said before anything is done. Stop the services first.
    """
    settings = CommandSettings.of(data_dir, "MYAKU_KAFKA")
    asyncio.run(_adopt(settings, yes=yes))


async def _adopt(settings: CommandSettings, *, yes: bool) -> None:
    url = settings.database_url.get_secret_value()
    engine = database.create(url, connections=1, application="myaku-log")
    try:
        await database.check(engine, url)
        chosen = await starts(settings, await standings(settings, engine))
        if not chosen:
            typer.echo("The database knows no log yet: scoring takes the one that it finds.")
            return
        for line in _plan(chosen):
            typer.echo(line)
        if not yes:
            typer.confirm("Go on with this log?", abort=True)
        await adopt(engine, chosen)
    finally:
        await engine.dispose()
    typer.echo("Done: start the services.")


async def _read(settings: CommandSettings) -> tuple[list[Standing], list[Source]]:
    url = settings.database_url.get_secret_value()
    engine = database.create(url, connections=1, application="myaku-log")
    try:
        await database.check(engine, url)
        return await standings(settings, engine), await sources(settings)
    finally:
        await engine.dispose()


def _table(found: Sequence[Standing]) -> Table:
    table = Table("topic", "partition", "log", "first", "end", title="What the broker has")
    for name in ("made from", "next", "epoch", "owner"):
        table.add_column(f"database: {name}")
    for one in found:
        log = "none" if one.marker is None else "cut" if one.is_cut else one.marker.id
        kept = one.kept
        believed = [kept.log_id, str(kept.next), str(kept.epoch), kept.owner] if kept else []
        table.add_row(
            *(one.place.topic, str(one.place.partition), log, str(one.first), str(one.end)),
            *believed,
        )
    return table


def _source_table(read: Sequence[Source]) -> Table:
    table = Table(
        "partition", "first", "end", "committed", title="usage.events, and ingest's group"
    )
    for one in read:
        if one.committed is None:
            stands = "nowhere yet: it begins at the first"
        elif one.first <= one.committed <= one.end:
            stands = str(one.committed)
        else:
            stands = f"{one.committed}, which is not there: it begins at the first"
        table.add_row(str(one.partition), str(one.first), str(one.end), stands)
    return table


def _plan(chosen: Sequence[Start]) -> list[str]:
    lines = []
    for start in chosen:
        place, kept = start.standing.place, start.standing.kept
        assert kept
        where = f"{place.topic}, partition {place.partition}"
        lost = f" Lost: {start.loss}." if start.loss else ""
        lines.append(f"{where}: reads on at offset {start.offset} ({kept.next} was next).{lost}")
    if not any(start.loss for start in chosen):
        lines.append("Nothing is lost, as far as the log tells.")
    return lines
