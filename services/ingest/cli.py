"""The ingest room's command."""

import typer

from services.ingest.__main__ import main


def register(app: typer.Typer) -> None:
    """Mount the room's commands."""

    @app.command()
    def ingest() -> None:
        """Run the ingest service alone; its settings come from the environment."""
        raise typer.Exit(main())
