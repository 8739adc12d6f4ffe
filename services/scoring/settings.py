"""The settings of the scoring service, beside those that all services share."""

from shared.settings import Settings


class ScoringSettings(Settings):
    """Ports: the HTTP API, and metrics with the probes."""

    scoring_port: int = 8082
    scoring_operations_port: int = 9102
