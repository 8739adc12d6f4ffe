"""The customer-success parts of a configuration, made ready to compute with."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from services.scoring.engine.table import FloatArray, IntArray
from shared.configuration import Configuration, Matrix, Metric, Milestone, Onboarding, Signals
from shared.configuration.values import days

NO_ACTION = -1

ColumnOf = Callable[[str, str | Metric], int]
"""The number of the column of a metric that another part reads; the name is for one of its own."""
WindowOf = Callable[[Metric, int, int], int]
"""The number of a window of a metric's signal: the days `r − first … r − last`."""


@dataclass(frozen=True)
class AxisPlan:
    """An axis of the matrix."""

    column: int
    levels: FloatArray  # where level 1, 2, … begin


@dataclass(frozen=True)
class MatrixPlan:
    """The utilisation matrix; actions are numbered in the order of the file."""

    x: AxisPlan
    y: AxisPlan
    stages: tuple[tuple[str, ...], ...]  # [y level][x level]
    cell_actions: IntArray  # [y level, x level]
    actions: tuple[str, ...]
    instead: IntArray  # [action], the one suggested where it must not be: itself if no upsell
    satisfaction: int | None  # the column of the metric
    satisfied_from: float


@dataclass(frozen=True)
class MilestonePlan:
    """A milestone; `column` is that of the metric by which it is done, if any."""

    id: str
    due_days: int
    column: int | None
    at_least: float


@dataclass(frozen=True)
class OnboardingPlan:
    """The way of a new customer; deadlines are days from its start."""

    milestones: tuple[MilestonePlan, ...]
    due_days: IntArray  # [milestone]
    last_days: int  # from the start to the last day on which it runs
    late_score: float

    @property
    def numbers(self) -> dict[str, int]:
        """The number of each milestone."""
        return {one.id: number for number, one in enumerate(self.milestones)}


@dataclass(frozen=True)
class SignalsPlan:
    """What is told of an account beside its numbers."""

    surveys: frozenset[str]
    detractor_at_most: float
    burst_window: int  # number in Plan.windows: the days that are counted together
    burst_usual: int  # and the days before them
    burst_days: int  # how many days the window closes on
    burst_at_least: int
    burst_share: float  # so much of what the days before had, at least
    quiet_days: int  # of a key user


@dataclass(frozen=True)
class SuccessPlan:
    """The customer-success parts of a configuration."""

    matrix: MatrixPlan | None
    onboarding: OnboardingPlan | None
    signals: SignalsPlan


def compile_success(
    configuration: Configuration, column_of: ColumnOf, window_of: WindowOf
) -> SuccessPlan:
    """The plan of a checked configuration's customer-success parts."""
    matrix, onboarding = configuration.matrix, configuration.onboarding
    return SuccessPlan(
        matrix=None if matrix is None else _matrix(matrix, column_of),
        onboarding=None if onboarding is None else _onboarding(onboarding, column_of),
        signals=_signals(configuration.product.signals, window_of),
    )


def _matrix(matrix: Matrix, column_of: ColumnOf) -> MatrixPlan:
    actions = tuple(matrix.actions)
    numbers = {name: number for number, name in enumerate(actions)} | {None: NO_ACTION}
    instead = [
        numbers[action.otherwise] if action.upsell else number
        for number, action in enumerate(matrix.actions.values())
    ]
    liked = matrix.satisfaction
    return MatrixPlan(
        x=AxisPlan(column_of("matrix.x", matrix.x.metric), np.array(matrix.x.levels, float)),
        y=AxisPlan(column_of("matrix.y", matrix.y.metric), np.array(matrix.y.levels, float)),
        stages=tuple(tuple(cell.stage for cell in row) for row in matrix.cells),
        cell_actions=np.array([[numbers[cell.action] for cell in row] for row in matrix.cells]),
        actions=actions,
        instead=np.array([*instead, NO_ACTION]),  # the last is found under NO_ACTION
        satisfaction=None if liked is None else column_of("matrix.satisfaction", liked.metric),
        satisfied_from=0.0 if liked is None else liked.at_least,
    )


def _onboarding(onboarding: Onboarding, column_of: ColumnOf) -> OnboardingPlan:
    milestones = tuple(_milestone(one, column_of) for one in onboarding.milestones)
    return OnboardingPlan(
        milestones=milestones,
        due_days=np.array([one.due_days for one in milestones]),
        last_days=onboarding.days,
        late_score=onboarding.late,
    )


def _milestone(milestone: Milestone, column_of: ColumnOf) -> MilestonePlan:
    reached = milestone.reached
    column = None if reached is None else column_of(f"onboarding.{milestone.id}", reached.metric)
    at_least = 0.0 if reached is None else reached.at_least
    return MilestonePlan(milestone.id, milestone.due_days, column, at_least)


def _signals(signals: Signals, window_of: WindowOf) -> SignalsPlan:
    burst = signals.ticket_burst
    tickets = Metric(count="support.ticket_opened", window=burst.window)
    length, against = days(burst.window), days(burst.against)
    return SignalsPlan(
        surveys=frozenset(signals.detractor.surveys),
        detractor_at_most=signals.detractor.at_most,
        burst_window=window_of(tickets, length, 0),
        burst_usual=window_of(tickets, length + against, length + 1),
        burst_days=length,
        burst_at_least=burst.at_least,
        burst_share=burst.times * length / against,
        quiet_days=days(signals.key_user.quiet_after),
    )
