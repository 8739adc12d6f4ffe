"""The documents that a customer-success team edits, as types; and the one way to read them.

A document is `{"product": …, "scorecards": …, "engagement": …, "alerts": …}` and so on: the YAML
files of a configuration directory as JSON. It travels in the log as a whole (`myaku.config`), and
a service follows the revision that the log names. What is wrong in it is refused whole.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from shared.configuration.engagement import Engagement
from shared.configuration.matrix import Matrix
from shared.configuration.onboarding import Onboarding
from shared.configuration.product import Product
from shared.configuration.routing import People, Routing
from shared.configuration.scorecards import Metric, Scorecards
from shared.configuration.success_map import SuccessMap
from shared.configuration.values import Duration, Fault, Path, Strict

SCORING_PARTS = (
    *("product", "scorecards", "engagement"),
    *("matrix", "onboarding", "success_map"),
)
"""The parts of a document that change health records or ranks."""

Severity = Literal["info", "warning", "critical"]


class InvalidConfiguration(Exception):
    """A configuration that cannot be used; the text says what was expected."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(fault.problem for fault in faults))
        self.faults = faults


class Level(Strict, frozen=True):
    """How bad it is, where that begins, and where it has cleared."""

    severity: Annotated[Severity, Meta(description="How loud the alert is.")]
    trigger: Annotated[float, Meta(description="The score beyond which it begins.")]
    clear: Annotated[
        float, Meta(description="The score at which it has cleared: better than the trigger.")
    ]


class Rule(Strict, frozen=True):
    """When an account's health becomes an alert."""

    id: Annotated[
        str,
        Meta(
            pattern=r"^[a-z][a-z0-9_]{2,62}$",
            description="Part of each alert's identity: it stays, whatever else is changed.",
        ),
    ]
    title: Annotated[
        str,
        Meta(
            description="The alert in a line. {{ account.name }}, {{ account.id }}, {{ score }},"
            " {{ band }}, {{ severity }} and {{ profile.FIELD }} are filled in."
        ),
    ]
    kind: Annotated[Literal["threshold"], Meta(description="The health score crosses a line.")]
    levels: Annotated[
        list[Level],
        Meta(min_length=1, description="From mild to severe, each triggered further out."),
    ]
    metric: Annotated[Literal["health_score"], Meta(description="What is watched.")] = (
        "health_score"
    )
    direction: Annotated[
        Literal["below", "above"], Meta(description="On which side of its triggers it is bad.")
    ] = "below"
    hold: Annotated[
        Duration, Meta(description="How long it must hold before anybody hears of it.")
    ] = msgspec.field(default="0s", name="for")
    clear_for: Annotated[
        Duration, Meta(description="How long recovery must hold before the alert is over.")
    ] = "0s"
    cooldown: Annotated[
        Duration, Meta(description="The least time between two messages, unless it gets worse.")
    ] = "24h"
    reopen_within: Annotated[
        Duration, Meta(description="Bad again so soon after its end, it is the same alert.")
    ] = "72h"
    armed_after: Annotated[
        Duration,
        Meta(
            description="How long an account must have been well without a break before the rule"
            " may fire for it: who never was well is no news."
        ),
    ] = "0s"
    play: Annotated[str, Meta(description="What the owner should do; sent with the alert.")] = ""


class Alerts(Strict, frozen=True):
    """When an account's health becomes an alert."""

    rules: Annotated[list[Rule], Meta(description="The rules, each on its own.")] = msgspec.field(
        default_factory=list
    )


class Configuration(Strict, frozen=True):
    """One whole, checked configuration."""

    product: Product
    scorecards: Scorecards
    alerts: Alerts
    routing: Routing
    people: People = People()
    engagement: Engagement = Engagement()
    matrix: Matrix | None = None
    onboarding: Onboarding | None = None
    success_map: SuccessMap | None = None

    @property
    def metrics_elsewhere(self) -> Iterator[tuple[Path, str | Metric]]:
        """Where other parts than the scorecards read a metric, and which."""
        if (matrix := self.matrix) is not None:
            yield ("matrix", "x", "metric"), matrix.x.metric
            yield ("matrix", "y", "metric"), matrix.y.metric
            if matrix.satisfaction is not None:
                yield ("matrix", "satisfaction", "metric"), matrix.satisfaction.metric
        for at, milestone in enumerate(self.onboarding.milestones if self.onboarding else ()):
            if milestone.reached is not None:
                path = ("onboarding", "milestones", at, "reached", "metric")
                yield path, milestone.reached.metric


def canonical(document: Any) -> bytes:
    """Canonical JSON: keys sorted, no spaces, UTF-8."""
    return msgspec.json.encode(document, order="sorted")


def revision(document: Any) -> str:
    """The revision of a document, or of a part of it: `sha256:` and hex."""
    return "sha256:" + hashlib.sha256(canonical(document)).hexdigest()


def scoring_revision(document: Mapping[str, Any]) -> str:
    """The revision of what changes health records or ranks."""
    return revision({part: document[part] for part in SCORING_PARTS if part in document})
