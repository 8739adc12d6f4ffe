"""What events say of milestones and problems, as facts: the newest of each stands."""

from collections.abc import Iterator, Mapping
from typing import Any

MILESTONE = "milestone."
PROBLEM = "problem."
OUTCOMES = {"open": 0, "done": 1, "succeeded": 1, "failed": 2}
"""What a milestone's event may say: NOTHING, SUCCEEDED or GAVE_UP."""
NOTHING, SUCCEEDED, GAVE_UP = 0, 1, 2
PROBLEM_STATUSES = ("open", "in_progress", "solved")
TYPES = frozenset({"onboarding.milestone", "problem.updated"})


def success_facts(event_type: str, properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The fact that an event of one of the TYPES says, if it is one that can be used."""
    name, prefix, statuses = "milestone", MILESTONE, tuple(OUTCOMES)
    if event_type == "problem.updated":
        name, prefix, statuses = "problem", PROBLEM, PROBLEM_STATUSES
    which, status = properties.get(name), properties.get("status")
    if isinstance(which, str) and which and status in statuses:
        yield prefix + which, status
