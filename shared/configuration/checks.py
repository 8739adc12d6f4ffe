"""What a document's types cannot say: references, ranges, orders. Pure."""

import re
import zoneinfo
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import getitem
from typing import Any

import msgspec

from shared.configuration.scorecards import (
    EXTRA_FIELDS,
    METRIC_FIELDS,
    Metric,
    Product,
    Scorecard,
    Scorecards,
)
from shared.configuration.types import (
    SECRET,
    Alerts,
    Configuration,
    Destination,
    InvalidConfiguration,
    Routing,
    Rule,
)
from shared.configuration.values import HORIZON_DAYS, days, duration_ms

WINDOWED = frozenset({"count", "sum", "users", "distinct"})
TIMEOUT_MS_MAX = 60_000
Path = tuple[str | int, ...]
UNNAMED = "…"
Problem = tuple[Path, str]


def parse(document: Mapping[str, Any]) -> Configuration:
    """The checked configuration of a document. Raises InvalidConfiguration for the first fault."""
    try:
        configuration = msgspec.convert(document, Configuration)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `")
        path = _named(document, _path(where.rstrip("`")), str(error))
        raise InvalidConfiguration(path, problem) from None
    for path, problem in _problems(configuration):
        raise InvalidConfiguration(path, problem)
    return configuration


def _path(where: str) -> Path:
    """`$.a[0].b` as ('a', 0, 'b'); msgspec writes a key of a mapping as `[...]`."""
    steps = re.findall(r"\.([^.\[\]]+)|\[(\d+)\]|(\[\.\.\.\])", where)
    return tuple(name or (int(index) if index else UNNAMED) for name, index, _ in steps)


def _named(document: Any, path: Path, fault: str) -> Path:
    """The path with the keys that msgspec leaves out: those without which the fault is gone."""
    for at, step in enumerate(path):
        if step == UNNAMED:
            parent = reduce(getitem, path[:at], document)
            for key in parent:
                alone = _replaced(document, path[:at], {key: parent[key]})
                if _fault(alone) == fault:
                    document, path = alone, (*path[:at], key, *path[at + 1 :])
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


def _fault(document: Any) -> str:
    try:
        msgspec.convert(document, Configuration)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _problems(configuration: Configuration) -> Iterator[Problem]:
    yield from _product(configuration.product)
    yield from _metrics(configuration.scorecards)
    yield from _scorecards(configuration.scorecards)
    yield from _alerts(configuration.alerts)
    yield from _routing(configuration.routing)


def _product(product: Product) -> Iterator[Problem]:
    try:
        zoneinfo.ZoneInfo(product.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        problem = f"{product.time_zone!r} is no time zone: write one such as Asia/Tokyo or UTC"
        yield ("product", "time_zone"), problem


def _metrics(scorecards: Scorecards) -> Iterator[Problem]:
    for name, metric in scorecards.metrics.items():
        path: Path = ("scorecards", "metrics", name)
        if len(metric.kinds) != 1:
            kinds = ", ".join(METRIC_FIELDS)
            yield (
                path,
                f"a metric has exactly one of {kinds}; {name} has {len(metric.kinds)}",
            )
            continue
        yield from ((path, problem) for problem in _fields(metric))
        yield from ((path, problem) for problem in _window(metric))
        yield from ((path, problem) for problem in _references(metric, scorecards.metrics))


def _fields(metric: Metric) -> Iterator[str]:
    needed, allowed = METRIC_FIELDS[metric.kind]
    for field in EXTRA_FIELDS:
        given = getattr(metric, field) not in (None, {})
        if field in needed and not given:
            yield f"a {metric.kind} metric needs {field!r}"
        if given and field not in needed | allowed:
            yield f"a {metric.kind} metric has no {field!r}"


def _window(metric: Metric) -> Iterator[str]:
    for field in ("window", "against", "expires"):
        try:
            length = days(getattr(metric, field))
        except ValueError as error:
            yield f"{field}: {error}"
            continue
        limit = 3650 if field == "expires" else HORIZON_DAYS
        if getattr(metric, field) is not None and not 1 <= length <= limit:
            yield f"{field} is 1d to {limit}d, not {getattr(metric, field)}"


def _references(metric: Metric, metrics: Mapping[str, Metric]) -> Iterator[str]:
    for reference in metric.ratio or ():
        if reference.startswith("profile."):
            continue
        if reference not in metrics:
            yield f"ratio names {reference!r}, which is neither a metric nor profile.field"
        elif metrics[reference].ratio or metrics[reference].change:
            yield f"ratio of {reference!r}: a ratio is of simple metrics, not of ratios or changes"
    if metric.change is None:
        return
    earlier = metrics.get(metric.change)
    if earlier is None or not WINDOWED.intersection(earlier.kinds):
        yield f"change names {metric.change!r}, which is no count, sum, users or distinct metric"
    elif earlier.window_days + metric.against_days > HORIZON_DAYS:
        yield f"the window and against of a change are together at most {HORIZON_DAYS}d"


def _scorecards(scorecards: Scorecards) -> Iterator[Problem]:
    path: Path = ("scorecards", "scorecards")
    names = [card.id for card in scorecards.scorecards]
    if len(set(names)) < len(names):
        yield path, "two scorecards have the same id"
    for index, card in enumerate(scorecards.scorecards):
        last = index == len(names) - 1
        if last and card.when:
            yield (*path, index), "the last scorecard is the default: it has no 'when'"
        if not last and not card.when:
            yield (*path, index), "only the last scorecard may be without 'when'"
        yield from _scorecard((*path, index), card, scorecards.metrics)
    yield from _bands(scorecards.bands)


def _scorecard(path: Path, card: Scorecard, metrics: Mapping[str, Metric]) -> Iterator[Problem]:
    for field in card.when:
        if not field.startswith("profile."):
            yield (
                (*path, "when", field),
                f"'when' names profile fields, as profile.size: {field!r}",
            )
    used: set[str] = set()
    for dimension_id, dimension in card.dimensions.items():
        for name, measure in dimension.measures.items():
            where = (*path, "dimensions", dimension_id, "measures", name)
            if name not in metrics:
                yield where, f"{name!r} is no metric"
            if name in used:
                yield where, f"{name!r} is used twice in this scorecard"
            used.add(name)
            values = [x for x, _ in measure.curve]
            if sorted(set(values)) != values:
                yield (*where, "curve"), "a curve's points go up in their first number"


def _bands(bands: Mapping[str, float]) -> Iterator[Problem]:
    limits = list(bands.values())
    if 0 not in limits or sorted(set(limits), reverse=True) != limits:
        yield (
            ("scorecards", "bands"),
            "bands are written from the highest limit down to 0",
        )


def _alerts(alerts: Alerts) -> Iterator[Problem]:
    names = [rule.id for rule in alerts.rules]
    if len(set(names)) < len(names):
        yield ("alerts", "rules"), "two rules have the same id"
    for index, rule in enumerate(alerts.rules):
        yield from ((("alerts", "rules", index), problem) for problem in _rule(rule))


def _rule(rule: Rule) -> Iterator[str]:
    for field in ("hold", "clear_for", "cooldown", "reopen_within", "armed_after"):
        try:
            duration_ms(getattr(rule, field))
        except ValueError as error:
            yield f"{'for' if field == 'hold' else field}: {error}"
    sign = 1 if rule.direction == "below" else -1
    severities = ("info", "warning", "critical")
    ranks = [severities.index(level.severity) for level in rule.levels]
    triggers = [sign * level.trigger for level in rule.levels]
    if sorted(set(ranks)) != ranks or sorted(set(triggers), reverse=True) != triggers:
        yield "levels go from mild to severe, each triggered further out than the one before"
    for level in rule.levels:
        if sign * (level.clear - level.trigger) <= 0:
            beyond = "above" if rule.direction == "below" else "below"
            yield f"level {level.severity}: clear ({level.clear}) must be {beyond} its trigger"


def _routing(routing: Routing) -> Iterator[Problem]:
    for name in routing.to:
        if name not in routing.destinations:
            yield ("routing", "to"), f"{name!r} is no destination"
    for field in routing.owner_chain:
        if not field.startswith("profile."):
            yield (
                ("routing", "owner_chain"),
                f"{field!r}: owners are profile fields, profile.csm",
            )
    for name, destination in routing.destinations.items():
        path: Path = ("routing", "destinations", name)
        try:
            if not 0 < duration_ms(destination.timeout) <= TIMEOUT_MS_MAX:
                yield (*path, "timeout"), f"a timeout is 1s to 60s, not {destination.timeout}"
        except ValueError as error:
            yield (*path, "timeout"), str(error)
        yield from _destination(path, destination)


def _destination(path: Path, destination: Destination) -> Iterator[Problem]:
    webhook = destination.type == "webhook"
    if webhook and not (destination.url and destination.secret):
        yield path, "a webhook needs 'url' and 'secret'"
    if not webhook and (destination.url or destination.secret):
        yield path, "a log destination has neither 'url' nor 'secret'"
    if destination.secret and not re.match(SECRET, destination.secret):
        yield (
            (*path, "secret"),
            "a secret is named, never written here: secret://NAME",
        )
