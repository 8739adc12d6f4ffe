"""The commands of whoever runs a deployment: `myaku config …`, `db`, `keys`, `log`, `rejected`."""

import typer

from services.admin import config, database, keys, log
from services.admin.rejected import commands as rejected

COMMANDS = {
    "config": config.app,
    "db": database.app,
    "keys": keys.app,
    "log": log.app,
    "rejected": rejected.app,
}


def register(app: typer.Typer) -> None:
    """Mount the room's commands."""
    for name, commands in COMMANDS.items():
        app.add_typer(commands, name=name)
