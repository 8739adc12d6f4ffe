"""The settings of the alerts service, beside those that all services share."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from shared.runtime import UserError
from shared.settings import Settings

SECRET_PREFIX = "MYAKU_SECRET_"
OURS = ("MYAKU_SECRET_KEY", "MYAKU_SECRET_KEY_FILE")


class AlertsSettings(Settings):
    """Ports: the HTTP API, and metrics with the probes. And whether history is delivered."""

    alerts_port: int = Field(default=8083, description="of the HTTP API")
    alerts_operations_port: int = Field(default=9103, description="of /metrics, /livez, /readyz")
    deliver_history: bool = Field(
        default=False, description="whether what a history's alerts say is sent"
    )


def read_secrets(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Secrets of destinations by NAME: MYAKU_SECRET_NAME, or the file MYAKU_SECRET_NAME_FILE.

    Raises UserError for a file that cannot be read.
    """
    secrets: dict[str, str] = {}
    for variable, value in environment.items():
        if not variable.startswith(SECRET_PREFIX) or variable in OURS:
            continue
        name = variable.removeprefix(SECRET_PREFIX)
        if not name.endswith("_FILE"):
            secrets[name] = value.strip()
            continue
        try:
            content = Path(value).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UserError(f"{variable}: {value} cannot be read: {error.strerror}.") from None
        secrets.setdefault(name.removesuffix("_FILE"), content)
    return secrets
