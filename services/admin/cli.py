"""The commands of whoever runs a deployment: `myaku config …`, `db …`, `keys …` and `log …`."""

import typer

from services.admin import config, database, keys, log

COMMANDS = {"config": config.app, "db": database.app, "keys": keys.app, "log": log.app}


def register(app: typer.Typer) -> None:
    """Mount the room's commands."""
    for name, commands in COMMANDS.items():
        app.add_typer(commands, name=name)
