"""What a customer-success team edits: the types, their checks, and the files that hold them."""

from shared.configuration.checks import parse
from shared.configuration.engagement import RANKS, USAGE, Engagement
from shared.configuration.matrix import Matrix
from shared.configuration.onboarding import Milestone, Onboarding
from shared.configuration.product import Product
from shared.configuration.routing import Destination, People, Person, Routing
from shared.configuration.scorecard import Bounds, Measure, Scorecard, ScoreRule
from shared.configuration.scorecards import Metric, Scorecards
from shared.configuration.signals import Signals
from shared.configuration.success_map import SuccessMap
from shared.configuration.types import (
    Alerts,
    Configuration,
    InvalidConfiguration,
    Level,
    Rule,
    canonical,
    revision,
    scoring_revision,
)
from shared.configuration.values import HORIZON_DAYS, duration_ms, is_address

__all__ = [
    "HORIZON_DAYS",
    "RANKS",
    "USAGE",
    "Alerts",
    "Bounds",
    "Configuration",
    "Destination",
    "Engagement",
    "InvalidConfiguration",
    "Level",
    "Matrix",
    "Measure",
    "Metric",
    "Milestone",
    "Onboarding",
    "People",
    "Person",
    "Product",
    "Routing",
    "Rule",
    "ScoreRule",
    "Scorecard",
    "Scorecards",
    "Signals",
    "SuccessMap",
    "canonical",
    "duration_ms",
    "is_address",
    "parse",
    "revision",
    "scoring_revision",
]
