"""The engagement part of a configuration, made ready to compute with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.configuration import Engagement
from shared.configuration.engagement import USAGE, EngagementSignal, Usage


@dataclass(frozen=True)
class PointsPlan:
    """What earns points: the days of a signal in a window."""

    name: str
    signal: int  # number in Plan.signals
    window_days: int
    points: float  # a day, or for the usage rate those of a rate of 1
    cap: float


@dataclass(frozen=True)
class Gate:
    """What a rank needs."""

    score: float
    usage_rate: float
    points: tuple[tuple[int, float], ...]  # (number in EngagementPlan.earning, least points)


@dataclass(frozen=True)
class EngagementPlan:
    """How users are ranked."""

    full_days: int
    earning: tuple[PointsPlan, ...]  # the usage rate first
    gates: tuple[Gate, ...]  # of all ranks but the lowest, from the best down


def compile_engagement(
    engagement: Engagement,
    signal_of: Callable[[Usage | EngagementSignal], int],
) -> EngagementPlan | None:
    """The plan of a checked engagement part; None where it gives no ranks.

    `signal_of` gives the number of the signal on which points stand.
    """
    usage, ranks = engagement.usage, engagement.ranks
    if usage is None or ranks is None:
        return None
    earning = [PointsPlan(USAGE, signal_of(usage), usage.window_days, usage.points, usage.points)]
    for name, each in engagement.signals.items():
        earning.append(PointsPlan(name, signal_of(each), each.window_days, each.points, each.cap))
    places: Mapping[str, int] = {each.name: at for at, each in enumerate(earning)}
    gates = [
        Gate(
            rank.score,
            rank.usage_rate,
            tuple((places[name], least) for name, least in rank.points.items()),
        )
        for rank in ranks.by_name().values()
    ]
    return EngagementPlan(usage.full_days, tuple(earning), tuple(gates))
