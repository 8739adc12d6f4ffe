"""The documents that a customer-success team edits, as types; and the one way to read them.

A document is `{"product": …, "scorecards": …, "alerts": …, "routing": …}`: the YAML files of a
configuration directory as JSON. It travels in the log as a whole (`myaku.config`), and a service
follows the revision that the log names. What is wrong in it is refused whole.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

HORIZON_DAYS = 120

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$", title="a name like login_rate_28d")]
Weight = Annotated[float, Meta(gt=0)]
Point = tuple[float, Annotated[float, Meta(ge=0, le=100)]]
Scalar = str | int | float | bool
Severity = Literal["info", "warning", "critical"]


class InvalidConfiguration(Exception):
    """A configuration that cannot be used; the text says where and what was expected.

    `path` names the place: the document's part, then keys and indexes.
    """

    def __init__(self, path: tuple[str | int, ...], problem: str) -> None:
        super().__init__(problem)
        self.path = path
        self.problem = problem


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a document: an unknown key is an error, never ignored."""


class Product(Strict, frozen=True):
    """`product.yaml`: the product's calendar, and which events mean what."""

    time_zone: str = "UTC"
    events: dict[Name, list[str]] = {}


class Metric(Strict, frozen=True):
    """One metric, in the short form of `scorecards.yaml`: exactly one kind is given.

    `window_days`, `against_days` and `expires_days` read the durations (`28d`).
    """

    count: str | None = None
    sum: str | None = None
    users: str | None = None
    distinct: str | None = None
    since_last: str | None = None
    latest: str | None = None
    ratio: tuple[str, str] | None = None
    change: str | None = None
    of: str | None = None
    where: dict[str, Scalar] = {}
    window: str | None = None
    against: str | None = None
    expires: str | None = None

    @property
    def kind(self) -> str:
        """The one kind that is given."""
        return self.kinds[0]

    @property
    def kinds(self) -> list[str]:
        """All kinds that are given: one, in a checked configuration."""
        return [kind for kind in METRIC_FIELDS if getattr(self, kind) is not None]

    @property
    def window_days(self) -> int:
        """The window's length in days; 0 without one."""
        return days(self.window)

    @property
    def against_days(self) -> int:
        """How many days before the window the one lies that it is compared with."""
        return days(self.against)

    @property
    def expires_days(self) -> int:
        """How many days a latest value is good for; 0 is for ever."""
        return days(self.expires)


class Measure(Strict, frozen=True):
    """A metric in a scorecard: its weight in the dimension, and the curve value → 0–100."""

    weight: Weight
    curve: Annotated[list[Point], Meta(min_length=1)]


class Dimension(Strict, frozen=True):
    """Measures that speak of one thing; `weight` is the dimension's share of the score."""

    weight: Weight
    measures: Annotated[dict[Name, Measure], Meta(min_length=1)]


class Scorecard(Strict, frozen=True):
    """How one kind of account is scored. `when` maps `profile.field` to a value or a list."""

    id: Name
    dimensions: Annotated[dict[Name, Dimension], Meta(min_length=1)]
    when: dict[str, Scalar | list[Scalar]] = {}


class Scorecards(Strict, frozen=True):
    """`scorecards.yaml`."""

    metrics: dict[Name, Metric]
    scorecards: Annotated[list[Scorecard], Meta(min_length=1)]
    bands: dict[Name, Annotated[float, Meta(ge=0, le=100)]]


class Level(Strict, frozen=True):
    """A severity, the value beyond which it begins and the one at which it has cleared."""

    severity: Severity
    trigger: float
    clear: float


class Rule(Strict, frozen=True):
    """One alert rule of kind `threshold` on the health score. Durations as `6h`, `14d`, `0s`.

    `for` is how long a breach must hold before it fires, `clear_for` how long recovery must hold
    before it is resolved, `cooldown` the least time between two notes of one key. `armed_after`
    is how long an account must have been clear of the rule without a break before the rule may
    fire for it: an account that never was well is no news.
    """

    id: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{2,62}$")]
    title: str
    kind: Literal["threshold"]
    levels: Annotated[list[Level], Meta(min_length=1)]
    metric: Literal["health_score"] = "health_score"
    direction: Literal["below", "above"] = "below"
    hold: str = msgspec.field(default="0s", name="for")
    clear_for: str = "0s"
    cooldown: str = "24h"
    reopen_within: str = "72h"
    armed_after: str = "0s"
    play: str = ""


class Alerts(Strict, frozen=True):
    """`alerts.yaml`."""

    rules: list[Rule] = []


class Destination(Strict, frozen=True):
    """Where notifications can go. `secret` is `secret://NAME`: the value is in the environment."""

    type: Literal["log", "webhook"]
    url: str | None = None
    secret: str | None = None
    timeout: str = "20s"


class Routing(Strict, frozen=True):
    """`routing.yaml`: who is told, and where.

    `owner_chain` are the profile fields that name the owner, first one known wins; `fallback`
    is the owner of accounts that have none. `to` are the destinations of every notification.
    """

    fallback: str
    destinations: dict[Name, Destination]
    to: Annotated[list[str], Meta(min_length=1)]
    owner_chain: tuple[str, ...] = ("profile.csm",)


class Configuration(Strict, frozen=True):
    """One whole, checked configuration."""

    product: Product
    scorecards: Scorecards
    alerts: Alerts
    routing: Routing


METRIC_FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "count": (frozenset({"window"}), frozenset({"where"})),
    "sum": (frozenset({"of", "window"}), frozenset({"where"})),
    "users": (frozenset({"window"}), frozenset({"where"})),
    "distinct": (frozenset({"of", "window"}), frozenset({"where"})),
    "since_last": (frozenset(), frozenset({"where"})),
    "latest": (frozenset({"of"}), frozenset({"where", "expires"})),
    "ratio": (frozenset(), frozenset()),
    "change": (frozenset({"against"}), frozenset()),
}
"""For each kind of metric: the fields that it needs, and those that it may have."""

_DURATION = re.compile(r"^(\d{1,5})(s|m|h|d|w)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def duration_ms(text: str) -> int:
    """Milliseconds of a duration such as `6h` or `14d`. Raises ValueError with what was meant."""
    found = _DURATION.match(text)
    if not found:
        raise ValueError(f"{text!r} is not a duration: write a number and s, m, h, d or w, as 24h")
    return int(found[1]) * _SECONDS[found[2]] * 1000


def days(text: str | None) -> int:
    """Whole days of a duration such as `28d`; 0 for None. Raises ValueError."""
    if text is None:
        return 0
    if not re.match(r"^\d{1,4}d$", text):
        raise ValueError(f"{text!r} is not a number of days: write it as 28d")
    return int(text[:-1])


def canonical(document: Any) -> bytes:
    """Canonical JSON: keys sorted, no spaces, UTF-8."""
    return msgspec.json.encode(document, order="sorted")


def revision(document: Any) -> str:
    """The revision of a document, or of a part of it: `sha256:` and hex."""
    return "sha256:" + hashlib.sha256(canonical(document)).hexdigest()


def scoring_revision(document: Mapping[str, Any]) -> str:
    """The revision of what changes scores: the product's and the scorecards' part."""
    return revision({part: document[part] for part in ("product", "scorecards")})
