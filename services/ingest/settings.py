"""The settings of the ingest service, beside those that all services share."""

from shared.settings import Settings


class IngestSettings(Settings):
    """Port: metrics with the probes."""

    ingest_operations_port: int = 9101
