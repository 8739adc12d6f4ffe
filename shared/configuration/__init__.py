"""What a customer-success team edits: the types, their checks, and the files that hold them."""

from shared.configuration.checks import parse
from shared.configuration.scorecards import Metric, Product, Scorecard, Scorecards
from shared.configuration.types import (
    Alerts,
    Configuration,
    InvalidConfiguration,
    Level,
    Routing,
    Rule,
    canonical,
    revision,
    scoring_revision,
)
from shared.configuration.values import HORIZON_DAYS, duration_ms

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
