"""From a configuration's document to the plan by which the engine computes."""

from collections.abc import Mapping
from typing import Any

from services.scoring.engine.calendar import calendar
from services.scoring.engine.plan import Column, Plan, Signal, Window
from services.scoring.engine.plan_scorecards import PROFILE, Numbering, compile_scorecard
from services.scoring.engine.success.plan import compile_success
from services.scoring.engine.users.plan import compile_engagement
from shared.configuration import (
    RANKS,
    Configuration,
    Metric,
    canonical,
    duration_ms,
    parse,
    scoring_revision,
)
from shared.configuration.engagement import EngagementSignal, Usage

SIGNAL_OF = {
    "count": "sum",
    "sum": "sum",
    "users": "users",
    "distinct": "set",
    "days": "active_days",
    "since_last": "active_days",
    "silence_risk": "active_days",
}
WINDOWED = frozenset({"count", "sum", "users", "distinct", "days"})
DERIVED = frozenset({"ratio", "change", "rate"})


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
                if (metric.kind in DERIVED) == late:
                    self.columns[name] = len(self.built)
                    self.built.append(self._column(name, metric, metrics))
        success = compile_success(self.configuration, self._column_of, self._window_of)
        names = {field for column in self.built for field in column.fields}
        cards = self.configuration.scorecards.scorecards
        numbering = Numbering(list(self.columns), cards)
        reading = frozenset(column.name for column in self.built if column.fields)
        engagement = compile_engagement(self.configuration.engagement, self._earning)
        return Plan(
            revision=self.revision,
            calendar=calendar(self.configuration.product.time_zone),
            signals=tuple(signal for _, signal in self.signals.values()),
            windows=tuple(self.windows),
            columns=tuple(self.built),
            scorecards=tuple(compile_scorecard(card, numbering, reading) for card in cards),
            bands=tuple(self.configuration.scorecards.bands.items()),
            profile_numbers=tuple(sorted(names)),
            conditions=tuple(numbering.conditions),
            parts=numbering.parts,
            success=success,
            rhythms_ms={
                name: duration_ms(source.expected_every)
                for name, source in self.configuration.product.sources.items()
            },
            engagement=engagement,
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
        if metric.onboarding:
            return Column(name, "onboarding")
        if metric.rate:
            recent = metrics[metric.rate]
            signal, length, before = self._signal(recent), recent.window_days, metric.against_days
            now = self._window(Window(signal, length, 0))
            then = self._window(Window(signal, length + before, length + 1))
            lengths = (length, before)
            return Column(name, "rate", window=now, against=then, signal=signal, lengths=lengths)
        if metric.ranked_users:
            return Column(name, "ranked_users", lowest=RANKS.index(metric.ranked_users))
        signal = self._signal(metric)
        if metric.kind in WINDOWED:
            window = self._window(Window(signal, metric.window_days, 0))
            scale = metric.per_days / metric.window_days if metric.per else 1.0
            return Column(name, metric.kind, window=window, signal=signal, scale=scale)
        return Column(
            name,
            metric.kind,
            signal=signal,
            expires_days=metric.expires_days,
            horizon_days=metric.horizon_days,
        )

    def _column_of(self, name: str, metric: str | Metric) -> int:
        """The column of a metric that another part names, or writes out."""
        if isinstance(metric, str):
            return self.columns[metric]
        self.built.append(self._column(name, metric, self.configuration.scorecards.metrics))
        return len(self.built) - 1

    def _window_of(self, metric: Metric, first: int, last: int) -> int:
        return self._window(Window(self._signal(metric), first, last))

    def _signal(self, metric: Metric) -> int:
        selector, name = _reads(metric)
        types = self._types(selector)
        closing = self._types(metric.closed_by) if metric.closed_by else []
        kind = SIGNAL_OF.get(metric.kind, metric.kind)
        return self._number(kind, name, types, metric.where or {}, closing)

    def _earning(self, earning: Usage | EngagementSignal) -> int:
        """The signal of what earns a user points."""
        return self._number("users", None, self._types(earning.of), earning.where or {}, [])

    def _number(
        self,
        kind: str,
        name: str | None,
        types: list[str],
        wanted: Mapping[str, Any],
        closing: list[str],
    ) -> int:
        definition = canonical([kind, name, types, wanted, closing]).decode()
        if definition not in self.signals:
            where = tuple(sorted(wanted.items()))
            signal = Signal(kind, name, frozenset(types), where, frozenset(closing), definition)
            self.signals[definition] = (len(self.signals), signal)
        return self.signals[definition][0]

    def _types(self, selector: str) -> list[str]:
        named = self.configuration.product.events.get(selector)
        return sorted(set(named)) if named is not None else [selector]

    def _window(self, window: Window) -> int:
        return self.windows.setdefault(window, len(self.windows))


def _reads(metric: Metric) -> tuple[str, str | None]:
    """The selector of the events that a metric reads, and the property that it takes of them."""
    selected = getattr(metric, metric.kind)
    return (metric.of, selected) if metric.of is not None else (selected, None)
