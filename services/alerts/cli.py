"""The alerts room's command."""

import typer

from services.alerts.settings import AlertsSettings


def register(app: typer.Typer) -> None:
    """Mount the room's commands."""

    @app.command(epilog=AlertsSettings.explain())
    def alerts() -> None:
        """Run the alerts service alone; its settings come from the environment."""
        from services.alerts.__main__ import main  # here: other commands need not wait for it

        raise typer.Exit(main())
