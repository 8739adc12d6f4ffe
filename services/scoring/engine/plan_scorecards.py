"""Scorecards made ready to compute with: curves as tables, weights as columns, rules by number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from services.scoring.engine.table import FloatArray, IntArray
from shared.configuration import Bounds, Measure, Scorecard, ScoreRule

PROFILE = "profile."
OVERRIDE = "override"
ONBOARDING = "onboarding"

Condition = tuple[str, tuple[Any, ...]]
"""A profile field, and the values of which it must have one."""


@dataclass(frozen=True)
class Curves:
    """Each measure's segments, from one point up to the next; as many as the longest curve has.

    Behind a curve's last point come segments that begin at infinity, which no value reaches.
    """

    least: FloatArray  # [measure, 1], the first point's x
    most: FloatArray  # [measure, 1], the last point's
    starts: FloatArray  # [measure, segment] x
    heights: FloatArray  # [measure, segment] y at its start
    slopes: FloatArray  # [measure, segment]


@dataclass(frozen=True)
class GatePlan:
    """The column of the gate's metric, and which part of the score a value of 1 takes away."""

    column: int
    takes: float


@dataclass(frozen=True)
class RulePlan:
    """A cap or a penalty, and when it applies."""

    id: str
    part: int  # number in Plan.parts
    bounds: tuple[tuple[int, Bounds], ...]  # by column
    conditions: tuple[int, ...]  # numbers in Plan.conditions
    cap: float | None
    penalty: float | None
    reason: str


@dataclass(frozen=True)
class ScorecardPlan:
    """A scorecard: which accounts it is for, and its dimensions and measures in the file's order.

    A score has the parts of its measures, then the gate's if there is one, then that of the rule.
    """

    id: str
    when: tuple[Condition, ...]
    onboarding: tuple[Any, ...]  # for accounts whose onboarding stands so; none is for all
    dimensions: tuple[str, ...]  # ids
    rows: tuple[slice, ...]  # [dimension], its measures
    names: tuple[str, ...]  # [measure]
    columns: IntArray  # [measure], its metric's
    weights: FloatArray  # [measure, 1]
    curves: Curves
    dimension_weights: FloatArray  # [dimension, 1]
    dimension_of: IntArray  # [measure]
    floor_share: float
    gate: GatePlan | None
    rules: tuple[RulePlan, ...]
    reading_profiles: frozenset[int]  # numbers in Plan.parts of what reads a profile field

    @property
    def parts(self) -> IntArray:
        """Where in Plan.parts the measures are, and the gate."""
        gate = [] if self.gate is None else [self.gate.column]
        return np.append(self.columns, np.array(gate, np.int64))


class Numbering:
    """The numbers that scorecards share: of metrics, of parts of a score, of profile conditions."""

    def __init__(self, columns: Sequence[str], cards: Sequence[Scorecard]) -> None:
        self.columns = {name: number for number, name in enumerate(columns)}
        rules = dict.fromkeys(rule.id for card in cards for rule in card.rules)
        self.parts = (*columns, *rules, OVERRIDE)
        self.part = {name: number for number, name in enumerate(self.parts)}
        self.conditions: list[Condition] = []

    def condition(self, field: str, wanted: Any) -> int:
        """The number of a profile condition."""
        condition = as_condition(field, wanted)
        self.conditions.append(condition)
        return len(self.conditions) - 1


def as_condition(field: str, wanted: Any) -> Condition:
    """A profile field as it is written, and the values that it may have."""
    values = tuple(wanted) if isinstance(wanted, list) else (wanted,)
    return field.removeprefix(PROFILE), values


def compile_scorecard(
    card: Scorecard, numbering: Numbering, reading: frozenset[str]
) -> ScorecardPlan:
    """The plan of a scorecard; `reading` names the metrics that read a profile field."""
    dimensions = list(card.dimensions.values())
    names = list(card.measures)
    sizes = [len(dimension.measures) for dimension in dimensions]
    ends = list(accumulate(sizes))
    columns = numbering.columns
    gate = card.gate
    return ScorecardPlan(
        id=card.id,
        when=tuple(
            as_condition(field, wanted)
            for field, wanted in card.when.items()
            if field != ONBOARDING
        ),
        onboarding=as_condition(ONBOARDING, card.when.get(ONBOARDING, []))[1],
        dimensions=tuple(card.dimensions),
        rows=tuple(slice(end - size, end) for size, end in zip(sizes, ends, strict=True)),
        names=tuple(names),
        columns=np.array([columns[name] for name in names], dtype=np.int64),
        weights=_column(measure.weight for measure in card.measures.values()),
        curves=_curves(list(card.measures.values())),
        dimension_weights=_column(each.weight for each in dimensions),
        dimension_of=np.repeat(np.arange(len(sizes)), sizes),
        floor_share=card.floor_share,
        gate=None if gate is None else GatePlan(columns[gate.measure], gate.takes),
        rules=tuple(_rule(rule, numbering) for rule in card.rules),
        reading_profiles=_reading_profiles(card, numbering.part, reading),
    )


def _column(numbers: Any) -> FloatArray:
    return np.array([[number] for number in numbers], dtype=np.float64)


def _curves(measures: Sequence[Measure]) -> Curves:
    shape = len(measures), max(len(measure.points) for measure in measures)
    starts, heights, slopes = np.full(shape, np.inf), np.zeros(shape), np.zeros(shape)
    for row, measure in enumerate(measures):
        points = np.array(measure.points, dtype=np.float64)
        count = len(points)
        starts[row, :count], heights[row, :count] = points.T
        if measure.curve:
            slopes[row, : count - 1] = np.diff(points[:, 1]) / np.diff(points[:, 0])
    most = _column(measure.points[-1][0] for measure in measures)
    return Curves(starts[:, :1].copy(), most, starts, heights, slopes)


def _rule(rule: ScoreRule, numbering: Numbering) -> RulePlan:
    bounds = tuple(
        (numbering.columns[name], wanted)
        for name, wanted in rule.when.items()
        if isinstance(wanted, Bounds)
    )
    conditions = tuple(
        numbering.condition(field, wanted)
        for field, wanted in rule.when.items()
        if not isinstance(wanted, Bounds)
    )
    part = numbering.part[rule.id]
    return RulePlan(rule.id, part, bounds, conditions, rule.cap, rule.penalty, rule.reason)


def _reading_profiles(
    card: Scorecard, part: Mapping[str, int], reading: frozenset[str]
) -> frozenset[int]:
    """The parts of the score that read a profile field, themselves or through a metric."""
    found = {name for name in card.measures if name in reading}
    if card.gate is not None and card.gate.measure in reading:
        found.add(card.gate.measure)
    for rule in card.rules:
        if any(name.startswith(PROFILE) or name in reading for name in rule.when):
            found.add(rule.id)
    return frozenset(part[name] for name in found)
