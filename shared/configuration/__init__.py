"""What a customer-success team edits: the types, their checks, and the files that hold them."""

from shared.configuration.checks import parse
from shared.configuration.types import (
    HORIZON_DAYS,
    Alerts,
    Configuration,
    InvalidConfiguration,
    Level,
    Metric,
    Product,
    Routing,
    Rule,
    Scorecard,
    Scorecards,
    canonical,
    duration_ms,
    revision,
    scoring_revision,
)

__all__ = [
    "HORIZON_DAYS",
    "Alerts",
    "Configuration",
    "InvalidConfiguration",
    "Level",
    "Metric",
    "Product",
    "Routing",
    "Rule",
    "Scorecard",
    "Scorecards",
    "canonical",
    "duration_ms",
    "parse",
    "revision",
    "scoring_revision",
]
