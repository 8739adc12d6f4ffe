"""The scoring room's commands."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.scoring.backfill.command import command as backfill
from services.scoring.commands import accounts, users
from services.scoring.preview.command import command as preview
from services.scoring.rebuild.command import command as rebuild
from services.scoring.settings import ScoringSettings
from shared.command_settings import CommandSettings
from shared.configuration.files import SHIPPED
from shared.configuration.values import days
from shared.runtime import UserError, now_ms


def register_configuration(config: typer.Typer) -> None:
    """Mount what `myaku config` knows of scores."""
    config.command(name="preview", epilog=CommandSettings.explain())(preview)


def register(app: typer.Typer) -> None:
    """Mount the room's commands."""
    app.add_typer(accounts, name="accounts")
    app.add_typer(users, name="users")
    app.command(name="backfill", epilog=CommandSettings.explain())(backfill)
    app.command(name="rebuild", epilog=CommandSettings.explain())(rebuild)

    @app.command(epilog=ScoringSettings.explain())
    def scoring() -> None:
        """Run the scoring service alone; its settings come from the environment."""
        from services.scoring.__main__ import main  # here: other commands need not wait for it

        raise typer.Exit(main())

    @app.command()
    def backtest(
        events: Annotated[
            list[Path],
            typer.Argument(help="NDJSON, also gzip, or Parquet; - is standard input."),
        ],
        dormant_after: Annotated[
            str,
            typer.Option(help="The horizon: an account without use for so long has gone silent."),
        ] = "90d",
        outcomes: Annotated[
            Path | None,
            typer.Option(
                help="What happened, instead of silence: NDJSON, CSV or Parquet with account_id and"
                " churned_at, or with cutoff, account_id and outcome."
            ),
        ] = None,
        config: Annotated[
            Path, typer.Option(envvar="MYAKU_CONFIG_DIR", help="The configuration directory.")
        ] = SHIPPED,
        against: Annotated[
            Path | None,
            typer.Option(
                help="A second configuration, compared with the first on the accounts that the"
                " first one's `active` says are in use."
            ),
        ] = None,
        report: Annotated[
            Path | None, typer.Option(help="Write a page (HTML) that anyone can read.")
        ] = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print everything as JSON instead of tables.")
        ] = False,
    ) -> None:
        """Ask a history whether its scores foretold what followed. Needs nothing that runs."""
        from services.scoring.backtest import command
        from services.scoring.backtest import report as telling

        configurations = [config, against] if against else [config]
        asked = command.Asked(events, _days(dormant_after), outcomes, configurations)
        found = command.backtest(asked, now_ms(), Console(stderr=True))
        if report:
            _write(report, telling.as_page(found))
        if as_json:
            typer.echo(telling.as_json(found).decode())
        else:
            telling.show(found, Console())


def _days(text: str) -> int:
    try:
        found = days(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--dormant-after") from None
    if not found:
        raise typer.BadParameter("at least 1d.", param_hint="--dormant-after")
    return found


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None
