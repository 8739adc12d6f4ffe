"""`product.yaml` as types: the product's calendar, its events, and where they come from. Pure."""

from typing import Annotated

from msgspec import Meta, field

from shared.configuration.signals import Signals
from shared.configuration.values import Duration, Name, Strict

SourceName = Annotated[str, Meta(min_length=1, max_length=128, examples=["web-app"])]


class Source(Strict, frozen=True):
    """Where events come from: how often it should be heard of."""

    expected_every: Annotated[
        Duration,
        Meta(
            description="Silent for longer, it is the source that is broken, not the customer: what"
            " was scored from it is held and marked stale, and operations is told."
        ),
    ]


class Product(Strict, frozen=True):
    """The product: its calendar, and which of its events mean what."""

    time_zone: Annotated[
        str,
        Meta(
            description="Where days begin at midnight: an IANA name. It stays as it was first.",
            examples=["UTC", "Asia/Tokyo"],
        ),
    ] = "UTC"
    events: Annotated[
        dict[Name, list[str]],
        Meta(
            description="Names for groups of event types, to be used in scorecards.yaml. `*` is"
            " every type that is the product's own."
        ),
    ] = field(default_factory=dict)
    sources: Annotated[
        dict[SourceName, Source],
        Meta(
            description="Sources that are never silent for long while they work, by the name that"
            " their events carry: that of their write key, their `source`, or the topic."
        ),
    ] = field(default_factory=dict)
    signals: Annotated[
        Signals, Meta(description="What is told of an account beside its numbers, each once.")
    ] = Signals()
