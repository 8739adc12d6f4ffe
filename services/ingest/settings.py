"""The settings of the ingest service, beside those that all services share."""

from pydantic import Field

from shared.settings import Settings


class IngestSettings(Settings):
    """Port: metrics with the probes."""

    ingest_operations_port: int = Field(default=9101, description="of /metrics, /livez, /readyz")
