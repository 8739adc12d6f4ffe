"""The signals of `product.yaml` as types: what is told of an account beside its numbers. Pure."""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, field

from shared.configuration.values import HORIZON_DAYS, Days, Fault, Strict, days

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Rank = Literal["SS", "S", "A", "B", "C", "D"]


class Detractor(Strict, frozen=True):
    """An answer from somebody who would not recommend us."""

    surveys: Annotated[
        list[Annotated[str, Meta(max_length=128)]],
        Meta(description="The surveys that ask for 0 to 10; none tells of nobody."),
    ] = field(default_factory=lambda: ["nps"])
    at_most: Annotated[float, Meta(description="The highest score of a detractor.")] = 6.0


class TicketBurst(Strict, frozen=True):
    """Many more questions to support than the account usually has."""

    window: Annotated[Days, Meta(description="The days that are counted together.")] = "3d"
    at_least: Annotated[Count, Meta(description="Fewer tickets are no burst.")] = 5
    times: Annotated[
        float, Meta(ge=1, description="So many times what is usual for the account it must be.")
    ] = 3.0
    against: Annotated[
        Days,
        Meta(
            description="The days before the window that say what is usual: with the window at"
            " most 120d."
        ),
    ] = "56d"


class KeyUser(Strict, frozen=True):
    """A user of rank S or SS, whose silence tells more than the account's numbers."""

    quiet_after: Annotated[
        Days, Meta(description="So long without an event is quiet; at most 119d.")
    ] = "14d"


class Signals(Strict, frozen=True):
    """What is told of an account beside its numbers, each once."""

    detractor: Annotated[
        Detractor, Meta(description="Somebody answered that they would not recommend us.")
    ] = Detractor()
    ticket_burst: Annotated[
        TicketBurst, Meta(description="The account asks support much more than it usually does.")
    ] = TicketBurst()
    key_user: Annotated[
        KeyUser, Meta(description="A user of rank S or SS has gone quiet, or is back.")
    ] = KeyUser()


def signals_faults(signals: Signals) -> Iterator[Fault]:
    """What its types cannot say."""
    try:
        if not 1 <= days(signals.key_user.quiet_after) < HORIZON_DAYS:
            raise ValueError(f"a key user is quiet after 1d to {HORIZON_DAYS - 1}d")
    except ValueError as error:
        yield Fault(("key_user", "quiet_after"), f"quiet_after: {error}")
    lengths = []
    for name in ("window", "against"):
        try:
            lengths.append(days(getattr(signals.ticket_burst, name)))
        except ValueError as error:
            yield Fault(("ticket_burst", name), f"{name}: {error}")
    if len(lengths) == 2 and (min(lengths) < 1 or sum(lengths) > HORIZON_DAYS):
        problem = f"the window and against of a ticket burst are together at most {HORIZON_DAYS}d"
        yield Fault(("ticket_burst",), problem)
