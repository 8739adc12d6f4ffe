"""`myaku config`: check a configuration directory."""

from pathlib import Path
from typing import Annotated

import typer

from shared.configuration import revision
from shared.configuration.files import SHIPPED, read_document

app = typer.Typer(help="Check the configuration.", no_args_is_help=True)

Directory = Annotated[
    Path, typer.Argument(envvar="MYAKU_CONFIG_DIR", help="The configuration directory.")
]


@app.command()
def check(directory: Directory = SHIPPED) -> None:
    """Say whether a configuration can be used, and if not, where it is wrong."""
    document = read_document(directory)
    typer.echo(f"The configuration in {directory} is right: {revision(document)}.")
