"""The alerts room's command."""

import typer

from services.alerts.__main__ import main


def register(app: typer.Typer) -> None:
    """Mount the room's commands."""

    @app.command()
    def alerts() -> None:
        """Run the alerts service alone; its settings come from the environment."""
        raise typer.Exit(main())
