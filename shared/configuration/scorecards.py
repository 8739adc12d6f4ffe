"""`scorecards.yaml` as types: how events become a score. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from shared.configuration.scorecard import Scorecard
from shared.configuration.values import Days, Name, Points, RankName, Scalar, Strict, days

HORIZON_OF_SILENCE_DAYS = 90

EventText = Annotated[str, Meta(examples=["*", "active", "report.exported"])]

METRIC_FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "count": (frozenset({"window"}), frozenset({"where", "per"})),
    "sum": (frozenset({"of", "window"}), frozenset({"where", "per"})),
    "users": (frozenset({"window"}), frozenset({"where"})),
    "distinct": (frozenset({"of", "window"}), frozenset({"where"})),
    "days": (frozenset({"window"}), frozenset({"where"})),
    "since_last": (frozenset(), frozenset({"where"})),
    "silence_risk": (frozenset(), frozenset({"where", "horizon"})),
    "open": (frozenset({"of", "closed_by"}), frozenset({"where"})),
    "latest": (frozenset({"of"}), frozenset({"where", "expires"})),
    "ratio": (frozenset(), frozenset()),
    "change": (frozenset({"against"}), frozenset()),
    "rate": (frozenset({"against"}), frozenset()),
    "ranked_users": (frozenset(), frozenset()),
    "onboarding": (frozenset(), frozenset()),
}
"""For each kind of metric: the fields that it needs, and those that it may have."""

EXTRA_FIELDS = (
    "of",
    "closed_by",
    "where",
    "window",
    "per",
    "against",
    "expires",
    "horizon",
)
"""What a metric has beside its kind."""


class Metric(Strict, frozen=True):
    """One number about an account, of exactly one kind; each kind needs other keys beside it."""

    count: Annotated[
        EventText | None, Meta(description="How many events of this type or group in the window.")
    ] = None
    sum: Annotated[
        str | None,
        Meta(description="The sum of this property over the events `of` a type in the window."),
    ] = None
    users: Annotated[
        EventText | None,
        Meta(description="How many different users had an event of this type in the window."),
    ] = None
    distinct: Annotated[
        str | None,
        Meta(description="How many different values this property of the events `of` a type had."),
    ] = None
    days: Annotated[
        EventText | None,
        Meta(description="On how many days of the window there was an event of this type."),
    ] = None
    since_last: Annotated[
        EventText | None, Meta(description="Whole days since the last event of this type.")
    ] = None
    silence_risk: Annotated[
        EventText | None,
        Meta(
            description="How likely, 0 to 1, no such event comes within the horizon, judged by the"
            " account's own rhythm. Not known in its first 14 days."
        ),
    ] = None
    open: Annotated[
        str | None,
        Meta(
            description="How many values of this property, as ticket numbers, events `of` a type"
            " have opened and none has `closed_by`."
        ),
    ] = None
    latest: Annotated[
        str | None, Meta(description="The newest value of this property of the events `of` a type.")
    ] = None
    ratio: Annotated[
        tuple[str, str] | None,
        Meta(
            description="The first divided by the second; each is a metric or `profile.field`.",
            examples=[["active_users_28d", "profile.seats"]],
        ),
    ] = None
    change: Annotated[
        str | None,
        Meta(description="How this metric changed `against` some days ago: now / then − 1."),
    ] = None
    rate: Annotated[
        str | None,
        Meta(
            description="This metric, per day, divided by its own daily average over the days"
            " `against` before its window: 1 is as ever, 0.5 half as much."
        ),
    ] = None
    ranked_users: Annotated[
        RankName | None,
        Meta(description="How many users have this rank of engagement.yaml, or a better one."),
    ] = None
    onboarding: Annotated[
        Literal["score"] | None,
        Meta(
            description="How well the account's onboarding goes, 0 to 100; `score` is all it has."
        ),
    ] = None
    of: Annotated[
        EventText | None, Meta(description="The event type or group that the property belongs to.")
    ] = None
    closed_by: Annotated[
        EventText | None, Meta(description="The event type or group that closes what was opened.")
    ] = None
    where: Annotated[
        dict[str, Scalar] | None,
        Meta(description="Only events whose properties have these values."),
    ] = None
    window: Annotated[
        Days | None, Meta(description="The last so many days, 1d to 120d, today being one of them.")
    ] = None
    per: Annotated[
        Days | None,
        Meta(description="The average for so many days, instead of the whole of the window."),
    ] = None
    against: Annotated[
        Days | None,
        Meta(
            description="How many days ago the window lies that this one is compared with; of a"
            " rate, how many days before its window count."
        ),
    ] = None
    expires: Annotated[
        Days | None,
        Meta(
            description="After so many days, 1d to 3650d, the latest value is not known any more."
        ),
    ] = None

    horizon: Annotated[
        Days | None,
        Meta(description="Silent within how many days, 1d to 365d. Without it, 90d."),
    ] = None

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
    def per_days(self) -> int:
        """For how many days the average is; 0 where the whole of the window is meant."""
        return days(self.per)

    @property
    def horizon_days(self) -> int:
        """Within how many days an account would be silent."""
        return days(self.horizon) or HORIZON_OF_SILENCE_DAYS

    @property
    def expires_days(self) -> int:
        """How many days a latest value is good for; 0 is for ever."""
        return days(self.expires)


def _of_kind(kind: str) -> dict[str, Any]:
    """What a schema says of a metric that has this kind: what it needs, and what it can have."""
    needed, allowed = METRIC_FIELDS[kind]
    names = [kind, *sorted(needed), *sorted(allowed)]
    then = {"required": sorted(needed), "propertyNames": {"enum": names}}
    return {"if": {"required": [kind]}, "then": then}


ONE_KIND = {
    "oneOf": [{"required": [kind]} for kind in METRIC_FIELDS],
    "allOf": [_of_kind(kind) for kind in METRIC_FIELDS],
}


MetricOrName = Name | Annotated[Metric, Meta(extra_json_schema=ONE_KIND)]
"""A metric of `scorecards.yaml` by its name, or one of its own, written out."""


class Scorecards(Strict, frozen=True):
    """How the health of an account is computed from its events."""

    metrics: Annotated[
        dict[Name, Annotated[Metric, Meta(extra_json_schema=ONE_KIND)]],
        Meta(description="Numbers about an account, each with a name."),
    ]
    scorecards: Annotated[
        list[Scorecard],
        Meta(min_length=1, description="The first whose `when` matches an account scores it."),
    ]
    bands: Annotated[
        dict[Name, Points],
        Meta(
            min_length=1,
            description="Names for ranges of the score, from the highest limit down to 0.",
        ),
    ]
