"""What a configuration holds, in a few lines. Pure."""

from collections.abc import Collection, Mapping, Sized
from typing import Any

from shared.configuration import Configuration, Engagement, parse, revision, scoring_revision


def summary(document: Mapping[str, Any], shipped: Collection[str]) -> str:
    """A line for each file of a checked document, what is as shipped, and its revisions."""
    holds = _holds(parse(document))
    lines = [
        f"{part}.yaml".ljust(17)
        + holds.get(part, "")
        + (" (no such file: as shipped)" if part in shipped else "")
        for part in document
    ]
    revisions = {"revision": revision(document), "  of its scores": scoring_revision(document)}
    return "\n".join([*lines, *(f"{name:<17}{each}" for name, each in revisions.items())])


def _holds(configuration: Configuration) -> dict[str, str]:
    cards = configuration.scorecards
    routing = configuration.routing
    return {
        "product": f"time zone {configuration.product.time_zone}",
        "scorecards": f"{_counted(cards.metrics, 'metric')},"
        f" {_counted(cards.scorecards, 'scorecard')}, {_counted(cards.bands, 'band')}",
        "alerts": _counted(configuration.alerts.rules, "rule"),
        "routing": _counted(routing.destinations, "destination"),
        "people": _people(len(configuration.people.people)),
        "engagement": _engagement(configuration.engagement),
    } | _success(configuration)


def _success(configuration: Configuration) -> dict[str, str]:
    matrix, onboarding = configuration.matrix, configuration.onboarding
    success_map = configuration.success_map
    cells = [cell for row in matrix.cells for cell in row] if matrix else []
    return {
        "matrix": f"{_counted(cells, 'cell')}, {_counted({one.stage for one in cells}, 'stage')}",
        "onboarding": _counted(onboarding.milestones if onboarding else (), "milestone"),
        "success_map": _counted(success_map.problems if success_map else (), "problem"),
    }


def _engagement(engagement: Engagement) -> str:
    ranks = "" if engagement.ranks else ", no ranks"
    return _counted(engagement.signals, "signal") + ranks


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def _counted(things: Sized, name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"
