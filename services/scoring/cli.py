"""The scoring room's commands."""

import typer

from services.scoring.commands import accounts, users
from services.scoring.settings import ScoringSettings


def register(app: typer.Typer) -> None:
    """Mount the room's commands."""
    app.add_typer(accounts, name="accounts")
    app.add_typer(users, name="users")

    @app.command(epilog=ScoringSettings.explain())
    def scoring() -> None:
        """Run the scoring service alone; its settings come from the environment."""
        from services.scoring.__main__ import main  # here: other commands need not wait for it

        raise typer.Exit(main())
