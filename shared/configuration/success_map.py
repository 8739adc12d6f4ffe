"""`success_map.yaml` as types: the problems to solve for a customer, and who does what. Pure."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from shared.configuration.values import Fault, Name, Strict


class Problem(Strict, frozen=True):
    """Something that stands between a customer and success."""

    id: Annotated[Name, Meta(description="As the property `problem` of its events has it.")]
    title: Annotated[str, Meta(description="What is wrong, as the customer would say it.")]
    who: Annotated[str, Meta(description="The team that takes it on.")]
    does: Annotated[str, Meta(description="What they do about it.")]


class SuccessMap(Strict, frozen=True):
    """The checklist of a customer's problems."""

    problems: Annotated[
        list[Problem], Meta(min_length=1, description="In the order in which they are shown.")
    ]


def success_map_faults(success_map: SuccessMap | None) -> Iterator[Fault]:
    """What its types cannot say."""
    if success_map is None:
        return
    ids = [one.id for one in success_map.problems]
    if len(set(ids)) < len(ids):
        yield Fault(("problems",), "two problems have the same id")
