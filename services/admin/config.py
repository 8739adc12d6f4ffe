"""`myaku config`: check a configuration, publish it, and write the schemas for editors."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from services.admin import publish as publishing
from services.admin.summary import summary
from shared.command_settings import CommandSettings
from shared.configuration import scoring_revision
from shared.configuration.files import SHIPPED, passed_over, read_document, shipped_parts
from shared.configuration.schemas import schemas
from shared.configuration.secrets import missing_secrets
from shared.runtime import UserError

app = typer.Typer(help="Check a configuration, and publish it.", no_args_is_help=True)


@app.command()
def check(
    directory: Annotated[
        Path, typer.Argument(envvar="MYAKU_CONFIG_DIR", help="The configuration directory.")
    ] = SHIPPED,
) -> None:
    """Say what a configuration holds, or else each fault with its file and line."""
    document = read_document(directory)
    typer.echo(f"The configuration in {directory} is right.")
    typer.echo(summary(document, shipped_parts(directory)))
    for name in passed_over(directory):
        typer.echo(
            f"Warning: {directory / name} is no part of a configuration: not read.", err=True
        )
    for warning in missing_secrets(document, os.environ):
        typer.echo(warning, err=True)


@app.command(epilog=CommandSettings.explain())
def publish(
    directory: Annotated[Path, typer.Argument(help="The configuration directory.")],
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where `myaku up` runs; without it MYAKU_KAFKA says where to publish."),
    ] = None,
    partitions: Annotated[
        int, typer.Option(min=1, max=1000, help="Number of partitions when the log is made.")
    ] = 4,
) -> None:
    """Let a configuration be in force from the next tick on. Makes the topics that are missing."""
    document = read_document(directory)
    settings = CommandSettings.of(data_dir, "MYAKU_KAFKA")
    with Console(stderr=True).status(f"Publishing to {settings.kafka} …"):
        said = asyncio.run(publishing.publish(settings, document, partitions=partitions))
    typer.echo(said)
    typer.echo(f"Health records name its part that makes scores: {scoring_revision(document)}.")


@app.command()
def schema(
    directory: Annotated[Path, typer.Argument(help="Where to write them.")],
) -> None:
    """Write the JSON Schemas of the files, by which an editor completes and explains every key."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for part, content in schemas().items():
            path = directory / f"{part}.schema.json"
            path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    except OSError as error:
        raise UserError(f"{directory} cannot be written: {error.strerror}.") from None
