"""The scoring room's command."""

import typer

from services.scoring.__main__ import main


def register(app: typer.Typer) -> None:
    """Mount the room's commands."""

    @app.command()
    def scoring() -> None:
        """Run the scoring service alone; its settings come from the environment."""
        raise typer.Exit(main())
