"""What is wrong with scorecards, beyond what their types say. Pure."""

from collections.abc import Iterator, Mapping

from shared.configuration.scorecard import Bounds, Measure, Scorecard, ScoreRule
from shared.configuration.scorecards import Metric, Scorecards
from shared.configuration.values import Fault, under

PROFILE = "profile."
ONBOARDING_STATUSES = ("running", "done", "failed")
MEASURES_MAX = 200
TAKEN = frozenset({"gate", "rule", "override"})
"""What a health record calls its own among the dimensions."""


def scorecard_faults(scorecards: Scorecards) -> Iterator[Fault]:
    """Everything that is wrong with the scorecards and the bands."""
    names = [card.id for card in scorecards.scorecards]
    if len(set(names)) < len(names):
        yield Fault(("scorecards",), "two scorecards have the same id")
    if "override" in scorecards.metrics:
        yield Fault(("metrics", "override"), "override is no name of a metric: it has a meaning")
    for index, card in enumerate(scorecards.scorecards):
        last = index == len(names) - 1
        path = ("scorecards", index)
        if last and card.when:
            yield Fault(path, "the last scorecard is the default: it has no 'when'")
        if not last and not card.when:
            yield Fault(path, "only the last scorecard may be without 'when'")
        yield from under(path, _scorecard(card, scorecards.metrics))
    limits = list(scorecards.bands.values())
    if 0 not in limits or sorted(set(limits), reverse=True) != limits:
        yield Fault(("bands",), "bands are written from the highest limit down to 0")


def _scorecard(card: Scorecard, metrics: Mapping[str, Metric]) -> Iterator[Fault]:
    yield from under(("when",), _when(card))
    yield from _dimensions(card, metrics)
    if len(card.measures) > MEASURES_MAX:
        problem = f"a scorecard has at most {MEASURES_MAX} measures, not {len(card.measures)}"
        yield Fault(("dimensions",), problem)
    yield from _gate(card, metrics)
    rules = [rule.id for rule in card.rules]
    if len(set(rules)) < len(rules):
        yield Fault(("rules",), "two rules have the same id")
    for index, rule in enumerate(card.rules):
        yield from under(("rules", index), _rule(rule, metrics))


def _when(card: Scorecard) -> Iterator[Fault]:
    for field, wanted in card.when.items():
        if field != "onboarding":
            if not field.startswith(PROFILE):
                problem = f"'when' names profile fields, as profile.size, or onboarding: {field!r}"
                yield Fault((field,), problem)
            continue
        for status in wanted if isinstance(wanted, list) else [wanted]:
            if status not in ONBOARDING_STATUSES:
                known = ", ".join(ONBOARDING_STATUSES)
                yield Fault((field,), f"{status!r} is no status: there are {known}")


def _dimensions(card: Scorecard, metrics: Mapping[str, Metric]) -> Iterator[Fault]:
    used: set[str] = set()
    for dimension_id, dimension in card.dimensions.items():
        if dimension_id in TAKEN:
            problem = f"{dimension_id} is no name of a dimension: it has a meaning"
            yield Fault(("dimensions", dimension_id), problem)
        for name, measure in dimension.measures.items():
            path = ("dimensions", dimension_id, "measures", name)
            if name not in metrics:
                yield Fault(path, f"{name!r} is no metric")
            if name in used:
                yield Fault(path, f"{name!r} is used twice in this scorecard")
            used.add(name)
            yield from under(path, _curve(name, measure))


def _curve(name: str, measure: Measure) -> Iterator[Fault]:
    if bool(measure.curve) == bool(measure.steps):
        yield Fault((), f"a measure has points, as either curve or steps: {name}")
    kind = "steps" if measure.steps else "curve"
    values = [x for x, _ in measure.points]
    if sorted(set(values)) != values:
        yield Fault((kind,), f"a {kind.removesuffix('s')}'s points go up in their first number")


def _gate(card: Scorecard, metrics: Mapping[str, Metric]) -> Iterator[Fault]:
    if card.gate is None:
        return
    path, name = ("gate", "measure"), card.gate.measure
    if name not in metrics:
        yield Fault(path, f"{name!r} is no metric")
    if name in card.measures:
        problem = f"{name!r} is the gate, and so no measure of this scorecard: it would count twice"
        yield Fault(path, problem)


def _rule(rule: ScoreRule, metrics: Mapping[str, Metric]) -> Iterator[Fault]:
    if rule.id in metrics or rule.id == "override":
        yield Fault(("id",), f"{rule.id!r} is the name of something else: a rule has its own")
    if (rule.cap is None) == (rule.penalty is None):
        yield Fault((), f"a rule has either a cap or a penalty: {rule.id}")
    for name, wanted in rule.when.items():
        path = ("when", name)
        if name.startswith(PROFILE):
            if isinstance(wanted, Bounds):
                problem = f"{name} equals a value, or one of a list of values"
                yield Fault(path, problem)
        elif name not in metrics:
            yield Fault(path, f"{name!r} is neither a metric nor profile.field")
        elif not isinstance(wanted, Bounds) or wanted == Bounds():
            problem = f"say where {name} lies: above, below, at_least or at_most a number"
            yield Fault(path, problem)
