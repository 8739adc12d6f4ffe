"""What a document's types cannot say: references, ranges, orders. Pure."""

import re
import zoneinfo
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import getitem
from typing import Any

import msgspec

from shared.configuration.engagement import engagement_faults
from shared.configuration.matrix import matrix_faults
from shared.configuration.onboarding import onboarding_faults
from shared.configuration.product import Product
from shared.configuration.routing_checks import routing_faults
from shared.configuration.scorecard_checks import scorecard_faults
from shared.configuration.scorecards import (
    EXTRA_FIELDS,
    METRIC_FIELDS,
    Metric,
    Scorecards,
)
from shared.configuration.signals import signals_faults
from shared.configuration.success_map import success_map_faults
from shared.configuration.types import (
    Alerts,
    Configuration,
    InvalidConfiguration,
    Rule,
)
from shared.configuration.values import HORIZON_DAYS, Fault, Path, days, duration_ms, under

DERIVED = frozenset({"ratio", "change", "rate"})
WINDOWED = frozenset({"count", "sum", "users", "distinct", "days"})
ADDING = frozenset({"count", "sum", "days"})
LIMITS_DAYS = {"expires": 3650, "horizon": 365}
UNNAMED = "…"


def parse(document: Mapping[str, Any]) -> Configuration:
    """The checked configuration of a document. Raises InvalidConfiguration with its faults.

    These are all of them, or where a part has not the form of its type, the first of each part.
    """
    try:
        configuration = msgspec.convert(document, Configuration)
    except msgspec.ValidationError as error:
        faults = list(_misshapen(document)) or [Fault((), str(error))]
        raise InvalidConfiguration(faults) from None
    if faults := list(_problems(configuration)):
        raise InvalidConfiguration(faults)
    return configuration


def _misshapen(document: Mapping[str, Any]) -> Iterator[Fault]:
    """The first fault of each part that is not what its type says."""
    for part in msgspec.structs.fields(Configuration):
        if part.name in document and (fault := _fault(document[part.name], part.type)):
            problem, _, where = fault.partition(" - at `")
            path = _named(document[part.name], _path(where.rstrip("`")), part.type)
            yield Fault((part.name, *path), problem)


def _path(where: str) -> Path:
    """`$.a[0].b` as ('a', 0, 'b'); msgspec writes a key of a mapping as `[...]`."""
    steps = re.findall(r"\.([^.\[\]]+)|\[(\d+)\]|(\[\.\.\.\])", where)
    return tuple(name or (int(index) if index else UNNAMED) for name, index, _ in steps)


def _named(value: Any, path: Path, type_: Any) -> Path:
    """The path with the keys that msgspec leaves out: those without which the fault is gone."""
    fault = _fault(value, type_)
    for at, step in enumerate(path):
        if step == UNNAMED:
            parent = reduce(getitem, path[:at], value)
            for key in parent:
                alone = _replaced(value, path[:at], {key: parent[key]})
                if _fault(alone, type_) == fault:
                    value, path = alone, (*path[:at], key, *path[at + 1 :])
                    break
    return path


def _replaced(document: Any, path: Path, value: Any) -> Any:
    """The document with another value at the path."""
    if not path:
        return value
    changed = _replaced(document[path[0]], path[1:], value)
    if isinstance(document, list):
        return [changed if at == path[0] else item for at, item in enumerate(document)]
    return {**document, path[0]: changed}


def _fault(value: Any, type_: Any) -> str:
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _problems(configuration: Configuration) -> Iterator[Fault]:
    for part, problems in (
        ("product", _product(configuration.product)),
        ("scorecards", _metrics(configuration.scorecards)),
        ("scorecards", scorecard_faults(configuration.scorecards)),
        ("scorecards", _ranked(configuration)),
        ("engagement", engagement_faults(configuration.engagement)),
        ("alerts", _alerts(configuration.alerts)),
        ("product", under(("signals",), signals_faults(configuration.product.signals))),
        ("matrix", matrix_faults(configuration.matrix)),
        ("onboarding", onboarding_faults(configuration.onboarding)),
        ("success_map", success_map_faults(configuration.success_map)),
    ):
        yield from under((part,), problems)
    metrics = configuration.scorecards.metrics
    for path, metric in configuration.metrics_elsewhere:
        yield from under(path, _elsewhere(path, metric, metrics))
    rules = [rule.id for rule in configuration.alerts.rules]
    yield from routing_faults(configuration.routing, configuration.people, rules)


def _product(product: Product) -> Iterator[Fault]:
    try:
        zoneinfo.ZoneInfo(product.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        problem = f"{product.time_zone!r} is no time zone: write one such as Asia/Tokyo or UTC"
        yield Fault(("time_zone",), problem)
    for name, source in product.sources.items():
        path = ("sources", name, "expected_every")
        try:
            every_ms = duration_ms(source.expected_every)
        except ValueError as error:
            yield Fault(path, str(error))
            continue
        if not every_ms:
            yield Fault(path, "a source cannot be heard of all the time: write a duration, as 15m")


def _metrics(scorecards: Scorecards) -> Iterator[Fault]:
    for name, metric in scorecards.metrics.items():
        yield from under(("metrics", name), _metric(name, metric, scorecards.metrics))


def _elsewhere(path: Path, metric: str | Metric, metrics: Mapping[str, Metric]) -> Iterator[Fault]:
    """What is wrong with a metric that another file names, or writes out."""
    found = metrics.get(metric) if isinstance(metric, str) else metric
    if found is None:
        yield Fault((), f"{metric!r} is no metric of scorecards.yaml")
        return
    if isinstance(metric, Metric):
        yield from _metric("this one", metric, metrics)
    if path[0] == "onboarding" and found.onboarding:
        yield Fault((), "a milestone is not reached by the score of the onboarding itself")


def _metric(name: str, metric: Metric, metrics: Mapping[str, Metric]) -> Iterator[Fault]:
    if len(metric.kinds) == 1:
        yield from _fields(metric)
        yield from _lengths(metric)
        yield from _references(metric, metrics)
    else:
        kinds = ", ".join(METRIC_FIELDS)
        yield Fault((), f"a metric has exactly one of {kinds}; {name} has {len(metric.kinds)}")


def _fields(metric: Metric) -> Iterator[Fault]:
    needed, allowed = METRIC_FIELDS[metric.kind]
    for field in EXTRA_FIELDS:
        given = getattr(metric, field) is not None
        if field in needed and not given:
            yield Fault((), f"a {metric.kind} metric needs {field!r}")
        if given and field not in needed | allowed:
            yield Fault((field,), f"a {metric.kind} metric has no {field!r}")


def _lengths(metric: Metric) -> Iterator[Fault]:
    for field in ("window", "per", "against", "expires", "horizon"):
        try:
            length = days(getattr(metric, field))
        except ValueError as error:
            yield Fault((field,), f"{field}: {error}")
            continue
        limit = LIMITS_DAYS.get(field, HORIZON_DAYS)
        if getattr(metric, field) is not None and not 1 <= length <= limit:
            yield Fault((field,), f"{field} is 1d to {limit}d, not {getattr(metric, field)}")


def _references(metric: Metric, metrics: Mapping[str, Metric]) -> Iterator[Fault]:
    for reference in metric.ratio or ():
        if reference.startswith("profile."):
            continue
        if reference not in metrics:
            problem = f"ratio names {reference!r}, which is neither a metric nor profile.field"
            yield Fault(("ratio",), problem)
        elif DERIVED.intersection(metrics[reference].kinds):
            problem = f"ratio of {reference!r}: a ratio is of metrics that are made of no others"
            yield Fault(("ratio",), problem)
    for kind, allowed in (("change", WINDOWED), ("rate", ADDING)):
        name = getattr(metric, kind)
        if name is not None:
            yield from _against(metric, kind, metrics.get(name), allowed)


def _against(
    metric: Metric, kind: str, recent: Metric | None, allowed: frozenset[str]
) -> Iterator[Fault]:
    """What is wrong with the metric that a change or a rate compares with its own past."""
    if recent is None or not allowed.intersection(recent.kinds):
        kinds = ", ".join(name for name in METRIC_FIELDS if name in allowed)
        yield Fault((kind,), f"{kind} names {getattr(metric, kind)!r}, which is none of: {kinds}")
    elif _reach_days(metric, recent) > HORIZON_DAYS:
        problem = f"the window and against of a {kind} are together at most {HORIZON_DAYS}d"
        yield Fault(("against",), problem)


def _ranked(configuration: Configuration) -> Iterator[Fault]:
    """Metrics over ranks that nobody has."""
    for name, metric in configuration.scorecards.metrics.items():
        if metric.ranked_users is not None and configuration.engagement.ranks is None:
            yield Fault(("metrics", name), "ranked_users needs 'ranks' in engagement.yaml")


def _reach_days(metric: Metric, earlier: Metric) -> int:
    """How many days back it looks; 0 where a duration cannot be read, which is said there."""
    try:
        return earlier.window_days + metric.against_days
    except ValueError:
        return 0


def _alerts(alerts: Alerts) -> Iterator[Fault]:
    names = [rule.id for rule in alerts.rules]
    if len(set(names)) < len(names):
        yield Fault(("rules",), "two rules have the same id")
    for index, rule in enumerate(alerts.rules):
        yield from under(("rules", index), _rule(rule))


def _rule(rule: Rule) -> Iterator[Fault]:
    for field in ("hold", "clear_for", "cooldown", "reopen_within", "armed_after"):
        try:
            duration_ms(getattr(rule, field))
        except ValueError as error:
            name = "for" if field == "hold" else field
            yield Fault((name,), f"{name}: {error}")
    sign = 1 if rule.direction == "below" else -1
    severities = ("info", "warning", "critical")
    ranks = [severities.index(level.severity) for level in rule.levels]
    triggers = [sign * level.trigger for level in rule.levels]
    if sorted(set(ranks)) != ranks or sorted(set(triggers), reverse=True) != triggers:
        problem = "levels go from mild to severe, each triggered further out than the one before"
        yield Fault(("levels",), problem)
    for index, level in enumerate(rule.levels):
        if sign * (level.clear - level.trigger) <= 0:
            beyond = "above" if rule.direction == "below" else "below"
            problem = f"level {level.severity}: clear ({level.clear}) must be {beyond} its trigger"
            yield Fault(("levels", index, "clear"), problem)
