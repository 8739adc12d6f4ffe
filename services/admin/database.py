"""`myaku db`: the schema."""

import asyncio

import typer

from shared import database
from shared.settings import Settings

app = typer.Typer(help="The database.", no_args_is_help=True)


@app.command()
def migrate() -> None:
    """Bring the schema to the newest revision. Safe when several do it at once."""
    settings = Settings.read()
    asyncio.run(database.migrate(settings.database_url.get_secret_value()))
    typer.echo("The schema is at the newest revision.")
