"""The replay room's command."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.replay import deployment as deployments
from services.replay import show
from services.replay.replay import Options, prepare, run
from shared.configuration.files import SHIPPED
from shared.data_dir import DEFAULT, DataDir
from shared.history.files import on_disk, refuse_missing
from shared.runtime import UserError, now_ms


def register(app: typer.Typer) -> None:
    """Mount the room's command."""

    @app.command()
    def replay(
        files: Annotated[
            list[Path],
            typer.Argument(help="NDJSON, also gzip, or Parquet; - is standard input."),
        ],
        data_dir: Annotated[
            Path, typer.Option(help="Where `myaku up` runs; also for sorting, and to go on.")
        ] = DEFAULT,
        wait: Annotated[
            bool, typer.Option("--wait", help="Return when all is scored and decided.")
        ] = False,
        rate: Annotated[int | None, typer.Option(min=1, help="Events a second, at most.")] = None,
        late: Annotated[
            bool,
            typer.Option(
                "--late",
                help="Send to a live deployment, where they count as events that come late.",
            ),
        ] = False,
        config: Annotated[
            Path,
            typer.Option(envvar="MYAKU_CONFIG_DIR", help="Without `myaku up`: the configuration."),
        ] = SHIPPED,
        scoring: Annotated[
            str | None, typer.Option(help="Without `myaku up`: http://… of scoring, for --wait.")
        ] = None,
        alerts: Annotated[
            str | None, typer.Option(help="Without `myaku up`: http://… of alerts, for --wait.")
        ] = None,
        token: Annotated[
            str | None,
            typer.Option(
                envvar="MYAKU_TOKEN",
                show_envvar=True,
                help="Without `myaku up`: a token that may read, for --wait.",
            ),
        ] = None,
    ) -> None:
        """Play event files, merged by time, through a deployment. Goes on where it was stopped."""
        named = deployments.Named(config, scoring, alerts, token)
        options = Options(wait, rate, late)
        refuse_missing(files)
        found = deployments.find(DataDir(data_dir), named)
        deployments.check(found, wait=wait, late=late)
        summary = play(files, found, options, DataDir(data_dir))
        Console().print(show.table(summary))


def play(
    files: Sequence[Path],
    deployment: deployments.Deployment,
    options: Options,
    data_dir: DataDir,
) -> show.Summary:
    """Replay the files, with a progress bar on standard error. Raises UserError."""
    lock = data_dir.take_for_replay()
    saved = data_dir.replay_checkpoint
    how = (deployment.zone.key, "late" if options.late else "history")
    try:
        with (
            show.bar(Console(stderr=True)) as progress,
            on_disk(files, data_dir.path) as paths,
        ):
            plan = prepare(paths, how, now_ms(), saved, progress)
            summary = asyncio.run(run(plan, deployment, options, saved, progress))
            saved.unlink(missing_ok=True)
            return summary
    except KeyboardInterrupt:
        raise UserError("Interrupted: the same command goes on from where it was.") from None
    finally:
        os.close(lock)
