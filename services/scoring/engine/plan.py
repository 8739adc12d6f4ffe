"""A configuration made ready to compute with: signals, windows, measures, scorecards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from services.scoring.engine.calendar import Calendar, calendar
from services.scoring.engine.table import IntArray
from shared.configuration import (
    Configuration,
    Metric,
    canonical,
    parse,
    scoring_revision,
)

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
class MeasurePlan:
    """A measure of a scorecard: its column, weight, and the curve's points."""

    column: int
    weight: float
    xs: np.ndarray  # [point]
    ys: np.ndarray  # [point]


@dataclass(frozen=True)
class DimensionPlan:
    """A dimension: `first … last` are its measures' positions in the scorecard."""

    id: str
    weight: float
    measures: tuple[MeasurePlan, ...]


@dataclass(frozen=True)
class ScorecardPlan:
    """A scorecard: which accounts it is for, and its dimensions in the file's order."""

    id: str
    when: tuple[tuple[str, tuple[Any, ...]], ...]
    dimensions: tuple[DimensionPlan, ...]

    @property
    def columns(self) -> IntArray:
        """The column of each measure, in order."""
        return np.array([m.column for d in self.dimensions for m in d.measures], dtype=np.int64)


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
        what = [kind, name, types, metric.where]
        definition = canonical(what).decode()
        if definition not in self.signals:
            where = tuple(sorted(metric.where.items()))
            signal = Signal(kind, name, frozenset(types), where, definition)
            self.signals[definition] = (len(self.signals), signal)
        return self.signals[definition][0]

    def _window(self, window: Window) -> int:
        return self.windows.setdefault(window, len(self.windows))

    def _scorecard(self, card: Any) -> ScorecardPlan:
        dimensions = tuple(
            DimensionPlan(
                identity,
                dimension.weight,
                tuple(
                    MeasurePlan(
                        self.columns[name],
                        measure.weight,
                        np.array([x for x, _ in measure.curve], dtype=np.float64),
                        np.array([y for _, y in measure.curve], dtype=np.float64),
                    )
                    for name, measure in dimension.measures.items()
                ),
            )
            for identity, dimension in card.dimensions.items()
        )
        when = tuple(
            (
                field.removeprefix(PROFILE),
                tuple(wanted) if isinstance(wanted, list) else (wanted,),
            )
            for field, wanted in card.when.items()
        )
        return ScorecardPlan(card.id, when, dimensions)


def _reads(metric: Metric) -> tuple[str, str | None]:
    """The selector of the events that a metric reads, and the property that it takes of them."""
    selected = getattr(metric, metric.kind)
    return (metric.of, selected) if metric.of is not None else (selected, None)


def same(left: Any, right: Any) -> bool:
    """JSON equality: 1 equals 1.0, true is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def text_of(value: Any) -> bytes | None:
    """A distinct value as bytes: strings, booleans, numbers by their value; None for others."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return msgspec.json.encode(value) if isinstance(value, str | bool | int | float) else None
