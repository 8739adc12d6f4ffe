"""The commands of whoever runs a deployment: `myaku config …`, `myaku db …`."""

import typer

from services.admin import config, database

COMMANDS = {"config": config.app, "db": database.app}


def register(app: typer.Typer) -> None:
    """Mount the room's commands."""
    for name, commands in COMMANDS.items():
        app.add_typer(commands, name=name)
