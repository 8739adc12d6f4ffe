"""The settings of the scoring service, beside those that all services share."""

from pydantic import Field

from shared.settings import Settings


class ScoringSettings(Settings):
    """Ports: the HTTP API, and metrics with the probes."""

    scoring_port: int = Field(default=8082, description="of the HTTP API")
    scoring_operations_port: int = Field(default=9102, description="of /metrics, /livez, /readyz")
