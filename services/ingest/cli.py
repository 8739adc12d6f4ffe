"""The ingest room's command."""

import typer

from services.ingest.settings import IngestSettings


def register(app: typer.Typer) -> None:
    """Mount the room's commands."""

    @app.command(epilog=IngestSettings.explain())
    def ingest() -> None:
        """Run the ingest service alone; its settings come from the environment."""
        from services.ingest.__main__ import main  # here: other commands need not wait for it

        raise typer.Exit(main())
