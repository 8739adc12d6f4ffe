"""The settings of the ingest service, beside those that all services share."""

from pydantic import Field

from shared.settings import Settings


class IngestSettings(Settings):
    """Ports: the HTTP API, and metrics with the probes."""

    ingest_port: int = Field(default=8081, description="of the HTTP API that events are sent to")
    ingest_operations_port: int = Field(default=9101, description="of /metrics, /livez, /readyz")
