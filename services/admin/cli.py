"""The commands of whoever runs a deployment: `myaku config …`, `myaku db …`, `myaku keys …`."""

import typer

from services.admin import config, database, keys

COMMANDS = {"config": config.app, "db": database.app, "keys": keys.app}


def register(app: typer.Typer) -> None:
    """Mount the room's commands."""
    for name, commands in COMMANDS.items():
        app.add_typer(commands, name=name)
