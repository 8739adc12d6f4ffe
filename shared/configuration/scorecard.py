"""One scorecard as a type: how values become a score. Pure."""

from typing import Annotated

from msgspec import Meta, field

from shared.configuration.values import Name, Points, Scalar, Strict, Weight, pattern

Point = tuple[
    Annotated[float, Meta(description="A value of the metric.")],
    Annotated[Points, Meta(description="The score 0–100 that it stands for.")],
]


class Measure(Strict, frozen=True):
    """A metric in a scorecard: what it weighs, and how good its values are."""

    weight: Annotated[Weight, Meta(description="Its share of the dimension, beside the others'.")]
    curve: Annotated[
        list[Point] | None,
        Meta(
            description="Points [value, score]. Between two points the score lies on a straight"
            " line; beyond the ends it stays.",
            examples=[[[0, 0], [0.5, 80], [0.8, 100]]],
        ),
    ] = None
    steps: Annotated[
        list[Point] | None,
        Meta(
            description="Points [value, score], instead of a curve: from each value on its score"
            " holds, up to the next; below the first value, the first's.",
            examples=[[[0, 20], [1, 60], [4, 100]]],
        ),
    ] = None

    @property
    def points(self) -> list[Point]:
        """The points of whichever is given."""
        return self.curve or self.steps or []


ONE_CURVE = {"oneOf": [{"required": ["curve"]}, {"required": ["steps"]}]}


class Dimension(Strict, frozen=True):
    """Measures that speak of one thing."""

    weight: Annotated[Weight, Meta(description="Its share of the score, beside the others'.")]
    measures: Annotated[
        dict[Name, Annotated[Measure, Meta(extra_json_schema=ONE_CURVE)]],
        Meta(min_length=1, description="The metrics that count here, by their names."),
    ]


class Gate(Strict, frozen=True):
    """A metric from 0 to 1 that takes its part of the whole score away."""

    measure: Annotated[Name, Meta(description="The metric: 0 takes nothing, 1 all that it may.")]
    takes: Annotated[
        float, Meta(gt=0, le=1, description="Which part of the score a value of 1 takes away.")
    ] = 1.0


class Bounds(Strict, frozen=True):
    """Where a metric's value must lie; several together must all hold."""

    above: Annotated[float | None, Meta(description="Greater than this.")] = None
    below: Annotated[float | None, Meta(description="Less than this.")] = None
    at_least: Annotated[float | None, Meta(description="This or more.")] = None
    at_most: Annotated[float | None, Meta(description="This or less.")] = None


class ScoreRule(Strict, frozen=True):
    """What no good use makes up for: a cap on the score, or a penalty."""

    id: Annotated[Name, Meta(description="Its name, as shown among the drivers.")]
    when: Annotated[
        dict[str, Bounds | Scalar | list[Scalar]],
        Meta(
            min_length=1,
            description="All of these: a metric and where its value lies, or a profile field and"
            " its value, or a list of values.",
            examples=[{"open_tickets": {"above": 3}, "profile.tier": "high"}],
        ),
    ]
    reason: Annotated[
        str, Meta(min_length=1, max_length=500, description="Why, in the words shown to people.")
    ]
    cap: Annotated[Points | None, Meta(description="The score is at most this.")] = None
    penalty: Annotated[
        Annotated[float, Meta(gt=0, le=100)] | None,
        Meta(description="So many points are taken away, down to 0."),
    ] = None


ONE_EFFECT = {"oneOf": [{"required": ["cap"]}, {"required": ["penalty"]}]}


CardField = Annotated[
    str,
    Meta(extra_json_schema=pattern(r"^(profile\..*|onboarding)$"), examples=["profile.size"]),
]


class Scorecard(Strict, frozen=True):
    """How one kind of account is scored."""

    id: Annotated[Name, Meta(description="Its name, as shown beside each score.")]
    dimensions: Annotated[
        dict[Name, Dimension], Meta(min_length=1, description="The parts of the score, by name.")
    ]
    when: Annotated[
        dict[CardField, Scalar | list[Scalar]],
        Meta(
            description="Which accounts: a profile field and its value, or a list of values;"
            " `onboarding` is how that stands: running, done or failed. Only the last scorecard has"
            " none: it is for all others.",
            examples=[{"profile.size": "E"}, {"onboarding": "running"}],
        ),
    ] = field(default_factory=dict)
    gate: Annotated[
        Gate | None,
        Meta(
            description="What takes its part of the whole away; while it is not known there is no"
            " score: history is being built.",
            examples=[{"measure": "silence", "takes": 1.0}],
        ),
    ] = None
    floor_share: Annotated[
        float,
        Meta(
            ge=0,
            lt=1,
            description="The part of the score that the dimensions cannot take away: with 0.7 they"
            " decide about 30 of the 100 points.",
        ),
    ] = 0.0
    rules: Annotated[
        list[Annotated[ScoreRule, Meta(extra_json_schema=ONE_EFFECT)]],
        Meta(description="Caps and penalties, after all else: the first that matches applies."),
    ] = field(default_factory=list)

    @property
    def measures(self) -> dict[str, Measure]:
        """The measures of all its dimensions, in order."""
        return {name: m for each in self.dimensions.values() for name, m in each.measures.items()}
