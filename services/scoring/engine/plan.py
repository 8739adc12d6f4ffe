"""A configuration made ready to compute with: signals, windows, measures, scorecards."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from services.scoring.engine.calendar import Calendar, calendar
from services.scoring.engine.table import FloatArray, IntArray
from shared.configuration import (
    Configuration,
    Metric,
    Scorecard,
    canonical,
    parse,
    scoring_revision,
)
from shared.events import encode

RESERVED = frozenset(
    {
        "account.updated",
        "account.closed",
        "account.overridden",
        "user.updated",
        "user.joined",
        "user.left",
        "user.erased",
        "onboarding.milestone",
        "survey.answered",
        "support.ticket_opened",
        "support.ticket_solved",
        "feedback.requested",
        "feedback.answered",
        "goal.set",
        "goal.attained",
        "problem.updated",
        "contact.made",
    }
)
RESERVED_PREFIXES = ("subscription.", "myaku.")
SIGNAL_OF = {"count": "sum", "sum": "sum", "users": "set", "distinct": "set"}
PROFILE = "profile."
DISTINCT = (str, bool, int, float)  # the types of values that can be told apart


def is_reserved(event_type: str) -> bool:
    """Whether a type means something to Myaku itself; `*` stands for all others."""
    return event_type in RESERVED or event_type.startswith(RESERVED_PREFIXES)


@dataclass(frozen=True)
class Signal:
    """What is kept of a stream of events, per account: the ground on which metrics stand.

    `kind` is `sum` (day sums), `set` (day sets), `last_day` or `latest`. `property` is None where
    the event itself counts: a count, or for a set the event's user.
    """

    kind: str
    property: str | None
    types: frozenset[str]  # "*" is every type that is not reserved
    where: tuple[tuple[str, Any], ...]
    definition: str  # canonical JSON of the above: a signal's identity

    def reads(self, event_type: str) -> bool:
        """Whether events of this type can match."""
        return event_type in self.types or ("*" in self.types and not is_reserved(event_type))


@dataclass(frozen=True)
class Window:
    """The days `r − first … r − last` of a signal, where `r` is the running day."""

    signal: int
    first: int
    last: int


@dataclass(frozen=True)
class Column:
    """One metric: how its value comes from the state.

    The terms of a ratio are numbers of other columns, or names of profile fields.
    """

    name: str
    kind: str
    window: int = -1  # number in Plan.windows
    against: int = -1  # number in Plan.windows: the window before, of a change
    signal: int = -1
    expires_days: int = 0
    terms: tuple[int | str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The profile fields that it reads."""
        return tuple(term for term in self.terms if isinstance(term, str))


@dataclass(frozen=True)
class ScorecardPlan:
    """A scorecard: which accounts it is for, and its dimensions and measures in the file's order.

    Curves have one point at infinity behind their last, and as many more as make them alike.
    """

    id: str
    when: tuple[tuple[str, tuple[Any, ...]], ...]
    dimensions: tuple[str, ...]  # ids
    rows: tuple[slice, ...]  # [dimension], its measures
    names: tuple[str, ...]  # [measure]
    columns: IntArray  # [measure], its metric's
    weights: FloatArray  # [measure, 1]
    xs: FloatArray  # [measure, point]
    ys: FloatArray  # [measure, point]
    dimension_weights: FloatArray  # [dimension, 1]
    dimension_of: IntArray  # [measure]


@dataclass(frozen=True)
class Plan:
    """All that the engine needs to know of a configuration."""

    revision: str  # of the product's and the scorecards' part
    calendar: Calendar
    signals: tuple[Signal, ...]
    windows: tuple[Window, ...]
    columns: tuple[Column, ...]
    scorecards: tuple[ScorecardPlan, ...]
    bands: tuple[tuple[str, float], ...]  # from the highest limit down
    profile_numbers: tuple[str, ...]  # the profile fields that ratios read

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each column."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def reading_profiles(self) -> frozenset[str]:
        """The names of metrics that read a profile field."""
        return frozenset(column.name for column in self.columns if column.fields)

    def band(self, tenths: int) -> str | None:
        """The band of a score in tenths; None for −1, no score."""
        if tenths < 0:
            return None
        return next(name for name, limit in self.bands if tenths / 10 >= limit)


def compile_plan(document: Mapping[str, Any]) -> Plan:
    """The plan of a document. Raises InvalidConfiguration."""
    return _Compiler(parse(document), scoring_revision(document)).plan()


class _Compiler:
    def __init__(self, configuration: Configuration, revision: str) -> None:
        self.configuration = configuration
        self.revision = revision
        self.signals: dict[str, tuple[int, Signal]] = {}
        self.windows: dict[Window, int] = {}
        self.columns: dict[str, int] = {}
        self.built: list[Column] = []

    def plan(self) -> Plan:
        metrics = self.configuration.scorecards.metrics
        for late in (False, True):
            for name, metric in metrics.items():
                if (metric.kind in ("ratio", "change")) == late:
                    self.columns[name] = len(self.built)
                    self.built.append(self._column(name, metric, metrics))
        names = {field for column in self.built for field in column.fields}
        return Plan(
            revision=self.revision,
            calendar=calendar(self.configuration.product.time_zone),
            signals=tuple(signal for _, signal in self.signals.values()),
            windows=tuple(self.windows),
            columns=tuple(self.built),
            scorecards=tuple(map(self._scorecard, self.configuration.scorecards.scorecards)),
            bands=tuple(self.configuration.scorecards.bands.items()),
            profile_numbers=tuple(sorted(names)),
        )

    def _column(self, name: str, metric: Metric, metrics: Mapping[str, Metric]) -> Column:
        if metric.ratio:
            terms = (self.columns.get(term, term.removeprefix(PROFILE)) for term in metric.ratio)
            return Column(name, "ratio", terms=tuple(terms))
        if metric.change:
            earlier = metrics[metric.change]
            signal, length = self._signal(earlier), earlier.window_days
            shifted = Window(signal, length + metric.against_days, metric.against_days + 1)
            now, then = self._window(Window(signal, length, 0)), self._window(shifted)
            return Column(name, "change", window=now, against=then, signal=signal)
        signal = self._signal(metric)
        if metric.kind in SIGNAL_OF:
            window = self._window(Window(signal, metric.window_days, 0))
            return Column(name, metric.kind, window=window, signal=signal)
        return Column(name, metric.kind, signal=signal, expires_days=metric.expires_days)

    def _signal(self, metric: Metric) -> int:
        selector, name = _reads(metric)
        named = self.configuration.product.events.get(selector)
        types = sorted(set(named)) if named is not None else [selector]
        kind = SIGNAL_OF.get(metric.kind, metric.kind)
        kind = "last_day" if kind == "since_last" else kind
        wanted = metric.where or {}
        what = [kind, name, types, wanted]
        definition = canonical(what).decode()
        if definition not in self.signals:
            where = tuple(sorted(wanted.items()))
            signal = Signal(kind, name, frozenset(types), where, definition)
            self.signals[definition] = (len(self.signals), signal)
        return self.signals[definition][0]

    def _window(self, window: Window) -> int:
        return self.windows.setdefault(window, len(self.windows))

    def _scorecard(self, card: Scorecard) -> ScorecardPlan:
        dimensions = list(card.dimensions.values())
        measures = [item for dimension in dimensions for item in dimension.measures.items()]
        sizes = [len(dimension.measures) for dimension in dimensions]
        ends = list(accumulate(sizes))
        points = 1 + max(len(measure.curve) for _, measure in measures)
        xs = np.full((len(measures), points), np.inf)
        ys = np.zeros((len(measures), points))
        for row, (_, measure) in enumerate(measures):
            xs[row, : len(measure.curve)] = [x for x, _ in measure.curve]
            ys[row, : len(measure.curve)] = [y for _, y in measure.curve]
        when = (
            (field.removeprefix(PROFILE), tuple(wanted) if isinstance(wanted, list) else (wanted,))
            for field, wanted in card.when.items()
        )
        return ScorecardPlan(
            id=card.id,
            when=tuple(when),
            dimensions=tuple(card.dimensions),
            rows=tuple(slice(end - size, end) for size, end in zip(sizes, ends, strict=True)),
            names=tuple(name for name, _ in measures),
            columns=np.array([self.columns[name] for name, _ in measures], dtype=np.int64),
            weights=np.array([[measure.weight] for _, measure in measures], dtype=np.float64),
            xs=xs,
            ys=ys,
            dimension_weights=np.array([[each.weight] for each in dimensions], dtype=np.float64),
            dimension_of=np.repeat(np.arange(len(sizes)), sizes),
        )


def _reads(metric: Metric) -> tuple[str, str | None]:
    """The selector of the events that a metric reads, and the property that it takes of them."""
    selected = getattr(metric, metric.kind)
    return (metric.of, selected) if metric.of is not None else (selected, None)


def same(left: Any, right: Any) -> bool:
    """JSON equality, all the way down: 1 equals 1.0, true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def text_of(value: Any) -> bytes | None:
    """A distinct value as bytes: strings, booleans, numbers by their value; None for others."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return encode(value) if isinstance(value, DISTINCT) else None
