"""`myaku config preview`."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from shared import database
from shared.command_settings import CommandSettings
from shared.configuration.files import read_document
from shared.in_force import followed


def command(
    directory: Annotated[Path, typer.Argument(help="The configuration directory.")],
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where `myaku up` runs; without it MYAKU_DATABASE_URL says whose."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it as JSON instead of tables.")
    ] = False,
) -> None:
    """Say what a configuration would do to scores, bands and alerts; nothing is changed."""
    document = read_document(directory)
    settings = CommandSettings.of(data_dir, "MYAKU_DATABASE_URL")
    with Console(stderr=True).status("Scoring every account by it …"):
        lines = asyncio.run(_run(settings, document, as_json=as_json))
    for line in lines:
        typer.echo(line)


async def _run(
    settings: CommandSettings, document: Mapping[str, Any], *, as_json: bool
) -> list[str]:
    # Here: other commands need not wait for the engine.
    from services.scoring.preview import words
    from services.scoring.preview.run import preview

    url = settings.database_url.get_secret_value()
    (await followed(url)).refuse_other_zone(document)
    engine = database.create(url, connections=1, application="myaku-preview")
    try:
        await database.check(engine, url)
        found = await preview(engine, document)
    except database.LOST as error:
        raise database.unavailable(url, error) from error
    finally:
        await engine.dispose()
    if as_json:
        return [msgspec.json.format(msgspec.json.encode(words.as_json(found))).decode()]
    return words.said(found)
