"""`myaku db`: the schema of the database."""

import asyncio

import typer

from shared import database
from shared.command_settings import CommandSettings

app = typer.Typer(help="The database's schema.", no_args_is_help=True)


@app.command()
def migrate() -> None:
    """Bring the schema of MYAKU_DATABASE_URL to the newest revision; safe to run several times."""
    url = CommandSettings.read().database_url.get_secret_value()
    found, newest = asyncio.run(database.migrate(url))
    if found == newest:
        typer.echo(f"The schema is at revision {newest}, the newest: nothing to do.")
    else:
        typer.echo(f"The schema went from {found or 'nothing'} to revision {newest}.")
