"""`engagement.yaml` as types: how the use of a product becomes each user's rank. Pure."""

from collections.abc import Iterator, Mapping
from typing import Annotated, get_args

from msgspec import Meta, field

from shared.configuration.scorecards import EventText
from shared.configuration.values import (
    HORIZON_DAYS,
    Days,
    Fault,
    Name,
    Points,
    RankName,
    Scalar,
    Strict,
    days,
    under,
)

RANKS: tuple[RankName, ...] = get_args(RankName)
"""From the best down."""

USAGE = "usage"
"""The name under which the points of the usage rate are shown beside the signals'."""

Where = Annotated[
    dict[str, Scalar] | None, Meta(description="Only events whose properties have these values.")
]
Positive = Annotated[float, Meta(gt=0)]


class Usage(Strict, frozen=True):
    """The monthly usage rate: on how many days somebody used the product, of those expected."""

    of: Annotated[EventText, Meta(description="The event type or group that is use.")]
    full_days: Annotated[
        int, Meta(ge=1, description="So many days with use in the window are a rate of 1.")
    ]
    points: Annotated[Points, Meta(description="What a rate of 1 is worth in the score.")]
    window: Annotated[Days, Meta(description="The last so many closed days, 1d to 120d.")] = "28d"
    where: Where = None

    @property
    def window_days(self) -> int:
        """The window's length in days."""
        return days(self.window)


class EngagementSignal(Strict, frozen=True):
    """Something a user does that shows engagement, and what it is worth."""

    of: Annotated[EventText, Meta(description="The event type or group that shows it.")]
    points: Annotated[
        Positive, Meta(description="For each day on which the user had such an event.")
    ]
    cap: Annotated[Positive, Meta(description="No more than so many points in the window.")]
    window: Annotated[Days, Meta(description="The last so many closed days, 1d to 120d.")] = "90d"
    where: Where = None

    @property
    def window_days(self) -> int:
        """The window's length in days."""
        return days(self.window)


class Rank(Strict, frozen=True):
    """What a user needs for a rank: the score, and every gate."""

    score: Annotated[Points, Meta(description="The least engagement score.")]
    usage_rate: Annotated[
        float, Meta(ge=0, le=1, description="The least monthly usage rate, 0 to 1.")
    ] = 0.0
    points: Annotated[
        dict[Name, Positive], Meta(description="The least points of signals, by their names.")
    ] = field(default_factory=dict)


class Ranks(Strict, frozen=True):
    """The ranks from the best down; a user has the first whose needs are met, and D otherwise."""

    SS: Annotated[Rank, Meta(description="The best: it needs the most.")]
    S: Annotated[Rank, Meta(description="The second.")]
    A: Annotated[Rank, Meta(description="The third: still a pillar of the account.")]
    B: Annotated[Rank, Meta(description="The fourth.")]
    C: Annotated[Rank, Meta(description="The fifth: what is below it is D.")]

    def by_name(self) -> Mapping[RankName, Rank]:
        """The ranks that need something, from the best down."""
        return {name: getattr(self, name) for name in RANKS[:-1]}


class Engagement(Strict, frozen=True):
    """How engaged each user is. Without `ranks`, nobody has a rank."""

    usage: Annotated[Usage | None, Meta(description="The monthly usage rate.")] = None
    signals: Annotated[
        dict[Name, EngagementSignal],
        Meta(description="What else earns points, each with a name."),
    ] = field(default_factory=dict)
    ranks: Annotated[Ranks | None, Meta(description="What each rank needs; D is the rest.")] = None


def engagement_faults(engagement: Engagement) -> Iterator[Fault]:
    """What the types cannot say of an engagement part."""
    if engagement.usage is not None:
        yield from under((USAGE,), _usage(engagement.usage))
    elif engagement.ranks is not None:
        yield Fault((), "ranks need 'usage': nobody ranks high without using the product")
    for name, signal in engagement.signals.items():
        yield from under(("signals", name), _window(signal.window))
        if name == USAGE:
            yield Fault(("signals", name), "'usage' is the name of the usage rate's own points")
    if engagement.ranks is not None:
        yield from under(("ranks",), _ranks(engagement.ranks, engagement.signals))


def _usage(usage: Usage) -> Iterator[Fault]:
    faults = list(_window(usage.window))
    yield from faults
    if not faults and usage.full_days > usage.window_days:
        yield Fault(("full_days",), f"a window of {usage.window} has no {usage.full_days} days")


def _window(window: str) -> Iterator[Fault]:
    try:
        length = days(window)
    except ValueError as error:
        yield Fault(("window",), f"window: {error}")
        return
    if not 1 <= length <= HORIZON_DAYS:
        yield Fault(("window",), f"window is 1d to {HORIZON_DAYS}d, not {window}")


def _ranks(ranks: Ranks, signals: Mapping[str, EngagementSignal]) -> Iterator[Fault]:
    before = 100.0
    for name, rank in ranks.by_name().items():
        if rank.score > before:
            yield Fault((name, "score"), f"{name} needs no more than the rank above it: {before:g}")
        before = rank.score
        for signal in rank.points:
            if signal not in signals:
                yield Fault((name, "points", signal), f"{signal!r} is no engagement signal")
