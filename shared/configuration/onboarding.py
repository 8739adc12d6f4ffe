"""`onboarding.yaml` as types: what a new customer should reach, and until when. Pure."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from shared.configuration.scorecards import MetricOrName
from shared.configuration.values import Days, Fault, Name, Points, Strict, days

MILESTONES_MAX = 20
DAYS_MAX = 3650


class Reached(Strict, frozen=True):
    """A value by which a milestone is done without anybody saying so."""

    metric: Annotated[
        MetricOrName,
        Meta(description="A metric of scorecards.yaml by its name, or one written out here."),
    ]
    at_least: Annotated[
        float, Meta(description="The value; that it once was reached at a day's end is enough.")
    ]


class Milestone(Strict, frozen=True):
    """One of the things that make a good beginning."""

    id: Annotated[Name, Meta(description="As the property `milestone` of its event has it.")]
    title: Annotated[str, Meta(description="What is reached, in a few words.")]
    due: Annotated[Days, Meta(description="How many days after the start it is due, 1d to 3650d.")]
    reached: Annotated[
        Reached | None,
        Meta(description="The value by which it is done, too; without one only its event says so."),
    ] = None

    @property
    def due_days(self) -> int:
        """Days from the start to the deadline."""
        return days(self.due)


class Onboarding(Strict, frozen=True):
    """The first months of a customer: milestones with deadlines from the start."""

    milestones: Annotated[
        list[Milestone],
        Meta(min_length=1, max_length=MILESTONES_MAX, description="In the order of the way."),
    ]
    grace: Annotated[
        Days,
        Meta(description="How long after the last deadline the onboarding still runs, to 3650d."),
    ] = "30d"
    late: Annotated[
        Points, Meta(description="What a milestone counts that was reached after its deadline.")
    ] = 50.0

    @property
    def days(self) -> int:
        """Days from the start to the last day on which the onboarding runs."""
        return max(one.due_days for one in self.milestones) + days(self.grace)


def onboarding_faults(onboarding: Onboarding | None) -> Iterator[Fault]:
    """What its types cannot say; metrics are checked with those of the scorecards."""
    if onboarding is None:
        return
    ids = [one.id for one in onboarding.milestones]
    if len(set(ids)) < len(ids):
        yield Fault(("milestones",), "two milestones have the same id")
    for at, milestone in enumerate(onboarding.milestones):
        yield from _duration(("milestones", at, "due"), milestone.due, 1)
    yield from _duration(("grace",), onboarding.grace, 0)


def _duration(path: tuple[str | int, ...], text: str, least: int) -> Iterator[Fault]:
    try:
        length = days(text)
    except ValueError as error:
        yield Fault(path, f"{path[-1]}: {error}")
        return
    if not least <= length <= DAYS_MAX:
        yield Fault(path, f"{path[-1]} is {least}d to {DAYS_MAX}d, not {text}")
