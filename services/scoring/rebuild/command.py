"""`myaku rebuild`, in words."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status

from services.scoring.rebuild.outcome import Rebuilt, said
from shared import database
from shared.command_settings import CommandSettings


def command(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where `myaku up` runs; without it MYAKU_KAFKA and MYAKU_DATABASE_URL say whose."
        ),
    ] = None,
    partition: Annotated[
        int | None, typer.Option(min=0, help="This partition alone; otherwise all of them.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put what the log says in the place of what is kept.")
    ] = False,
) -> None:
    """Build the state of scoring from the log alone, and say whether the database has the same.

    Changes nothing unless it is to replace. The services may run.
    """
    settings = CommandSettings.of(data_dir, "MYAKU_KAFKA")
    with Console(stderr=True).status(f"Reading the log at {settings.kafka} …") as status:
        found = asyncio.run(_run(settings, partition, status, replacing=replace))
    for line in said(found):
        typer.echo(line)
    if not replace and not all(one.is_equal for one in found):
        raise typer.Exit(1)


async def _run(
    settings: CommandSettings, chosen: int | None, status: Status, *, replacing: bool
) -> list[Rebuilt]:
    from services.scoring.rebuild.run import partitions, rebuild, shadowing  # others need not wait

    url = settings.database_url.get_secret_value()
    engine = database.create(url, connections=2, application="myaku-rebuild", patience_seconds=None)

    def told(partition: int, at: int, until: int) -> None:
        status.update(f"Partition {partition}: {at:,} of {until:,} records …")

    try:
        await database.check(engine, url)
        there = await partitions(engine, chosen)
        async with shadowing(settings, engine) as made:
            return [
                await rebuild(settings, engine, made, each, told, replacing=replacing)
                for each in there
            ]
    except database.LOST as error:
        raise database.unavailable(url, error) from error
    finally:
        await engine.dispose()
