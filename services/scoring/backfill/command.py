"""`myaku backfill`, in words."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.scoring.backfill.outcome import Outcome, said
from shared import database, kafka
from shared.command_settings import CommandSettings


def command(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where `myaku up` runs; without it MYAKU_KAFKA and MYAKU_DATABASE_URL say whose."
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait until scoring has taken it in.")
    ] = 60,
) -> None:
    """Read the kept log for metrics that a changed configuration added."""
    settings = CommandSettings.of(data_dir, "MYAKU_KAFKA")
    with Console(stderr=True).status(f"Reading the log at {settings.kafka} …"):
        outcome = asyncio.run(_run(settings, wait))
    for line in said(outcome):
        typer.echo(line)


async def _run(settings: CommandSettings, wait_seconds: float) -> Outcome:
    from services.scoring.backfill.run import backfill  # here: other commands need not wait for it

    url = settings.database_url.get_secret_value()
    engine = database.create(url, connections=1, application="myaku-backfill")
    producer = kafka.producer(settings)
    try:
        await database.check(engine, url)
        await kafka.start(producer, settings)
        return await backfill(settings, engine, producer, wait_seconds=wait_seconds)
    except database.LOST as error:
        raise database.unavailable(url, error) from error
    finally:
        await producer.stop()
        await engine.dispose()
