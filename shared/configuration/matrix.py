"""`matrix.yaml` as types: two axes of use, the stage of each cell, and what to do there. Pure."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from shared.configuration.scorecards import MetricOrName
from shared.configuration.values import Fault, Name, Strict, under

Levels = Annotated[
    list[float],
    Meta(
        min_length=1,
        max_length=9,
        description="Where level 1, level 2 and so on begin, ascending; below the first is 0.",
        examples=[[1, 5, 20]],
    ),
]


class Axis(Strict, frozen=True):
    """One way of looking at use, in levels."""

    title: Annotated[str, Meta(description="What the axis is called.")]
    metric: Annotated[
        MetricOrName,
        Meta(description="A metric of scorecards.yaml by its name, or one written out here."),
    ]
    levels: Levels


class Action(Strict, frozen=True):
    """What to do with an account in a cell."""

    text: Annotated[str, Meta(description="What to do, in a sentence.")]
    upsell: Annotated[
        bool,
        Meta(
            description="Whether it sells more: then it is suggested only where the account is in"
            " the best band and not known to be dissatisfied."
        ),
    ] = False
    otherwise: Annotated[
        Name | None, Meta(description="The action suggested where an upsell is not.")
    ] = None


class Cell(Strict, frozen=True):
    """A level of each axis: the stage that it stands for, and the action suggested."""

    stage: Annotated[Name, Meta(description="The stage of the accounts in this cell.")]
    action: Annotated[Name | None, Meta(description="One of the actions, if any.")] = None


class Satisfaction(Strict, frozen=True):
    """Who is known to be dissatisfied."""

    metric: Annotated[
        MetricOrName,
        Meta(description="A metric of scorecards.yaml by its name, or one written out here."),
    ]
    at_least: Annotated[
        float, Meta(description="Below this they are dissatisfied; not known is not bad.")
    ]


class Matrix(Strict, frozen=True):
    """The utilisation matrix: where each account stands, and what comes next."""

    x: Annotated[Axis, Meta(description="The axis from left to right.")]
    y: Annotated[Axis, Meta(description="The axis from bottom to top.")]
    actions: Annotated[dict[Name, Action], Meta(description="What there is to do, by name.")]
    cells: Annotated[
        list[list[Cell]],
        Meta(
            description="A row for each level of y, from 0 up; in it a cell for each level of x,"
            " from 0 up."
        ),
    ]
    satisfaction: Annotated[
        Satisfaction | None, Meta(description="Whom never to sell more to, however well they do.")
    ] = None


def matrix_faults(matrix: Matrix | None) -> Iterator[Fault]:
    """What its types cannot say; metrics are checked with those of the scorecards."""
    if matrix is None:
        return
    for name, axis in (("x", matrix.x), ("y", matrix.y)):
        if sorted(set(axis.levels)) != axis.levels:
            yield Fault((name, "levels"), "levels begin at ascending values")
    for name, action in matrix.actions.items():
        yield from under(("actions", name), _action(action, matrix))
    yield from under(("cells",), _cells(matrix))


def _cells(matrix: Matrix) -> Iterator[Fault]:
    if len(matrix.cells) != len(matrix.y.levels) + 1:
        rows = f"{len(matrix.y.levels) + 1}, one for each level of y and one below the first"
        yield Fault((), f"there are {len(matrix.cells)} rows of cells, not {rows}")
    for at, row in enumerate(matrix.cells):
        if len(row) != len(matrix.x.levels) + 1:
            cells = f"{len(matrix.x.levels) + 1}, one for each level of x and one below the first"
            yield Fault((at,), f"there are {len(row)} cells in the row, not {cells}")
        for place, cell in enumerate(row):
            if cell.action is not None and cell.action not in matrix.actions:
                yield Fault((at, place), f"{cell.action!r} is no action")


def _action(action: Action, matrix: Matrix) -> Iterator[Fault]:
    if action.otherwise is None:
        return
    instead = matrix.actions.get(action.otherwise)
    if not action.upsell:
        yield Fault(("otherwise",), "only an upsell has an 'otherwise'")
    elif instead is None or instead.upsell:
        problem = f"otherwise names {action.otherwise!r}, which is no action but an upsell"
        if instead is None:
            problem = f"otherwise names {action.otherwise!r}, which is no action"
        yield Fault(("otherwise",), problem)
