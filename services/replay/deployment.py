"""Where a replay goes: to what `myaku up` runs, or to what the environment names."""

import os
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from shared.configuration.files import SHIPPED, read_document
from shared.data_dir import DataDir
from shared.runtime import UserError
from shared.settings import Settings


@dataclass(frozen=True)
class Named:
    """What the command line names where there is no up.json."""

    config: Path = SHIPPED
    scoring: str | None = None
    alerts: str | None = None
    token: str | None = None


@dataclass(frozen=True)
class Deployment:
    """A deployment as a replay sees it; `scoring` and `alerts` (http://…) are for waiting only."""

    settings: Settings
    zone: ZoneInfo
    scoring: str | None
    alerts: str | None
    token: str | None

    @property
    def headers(self) -> dict[str, str]:
        """With which scoring and alerts are asked."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def secret_key(self) -> str:
        """With which our own records are signed."""
        return self.settings.secret_key.get_secret_value()


def find(data_dir: DataDir, named: Named) -> Deployment:
    """The deployment. Raises UserError where there is none."""
    up_file = data_dir.running()
    if up_file is None:
        if "MYAKU_KAFKA" not in os.environ:
            raise UserError(
                f"Nothing runs in {data_dir.path}: start it with `myaku up`,"
                " or name your deployment's broker in MYAKU_KAFKA."
            )
        return Deployment(
            Settings.read(), _zone(named.config), named.scoring, named.alerts, named.token
        )
    settings = Settings.read(
        kafka=up_file.kafka,
        database_url=up_file.database_url,
        secret_key=up_file.secret_key,
        clock=up_file.clock,
    )
    zone = _zone(Path(up_file.config))
    return Deployment(settings, zone, up_file.scoring, up_file.alerts, up_file.token)


def check(deployment: Deployment, *, wait: bool, late: bool) -> None:
    """Raises UserError where this deployment cannot be replayed to in this way."""
    is_live = deployment.settings.clock == "wall"
    if is_live and not late:
        raise UserError(
            "This deployment is live: play a history in a directory of its own"
            " (`myaku up --clock events --data-dir DIR`), or send these as late events with --late."
        )
    if late and not is_live:
        raise UserError("--late is for a live deployment, and this one plays a history.")
    if wait and not (deployment.scoring and deployment.alerts):
        raise UserError(
            "--wait needs to know where to ask: name --scoring and --alerts (http://…)."
        )


def _zone(config: Path) -> ZoneInfo:
    return ZoneInfo(read_document(config)["product"].get("time_zone", "UTC"))
