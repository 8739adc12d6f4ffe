"""The command line: `myaku`, with the commands that each room mounts."""

import logging
import sys

import typer

from services.admin import cli as admin
from services.alerts import cli as alerts
from services.ingest import cli as ingest
from services.replay import cli as replay
from services.scoring import cli as scoring
from services.standalone import cli as standalone
from shared.runtime import UserError

app = typer.Typer(
    name="myaku",
    help="Tells a subscription business who is slipping away, why, and who should act.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for room in (standalone, replay, ingest, scoring, alerts, admin):
    room.register(app)
scoring.register_configuration(admin.COMMANDS["config"])


def main() -> None:
    """Run a command. A user's mistake is one sentence on standard error, and exit status 1."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the sentence says it
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
