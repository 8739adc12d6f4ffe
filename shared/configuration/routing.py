"""`routing.yaml` and `people.yaml` as types: who is told of an alert, and where. Pure."""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shared.configuration.values import (
    ADDRESS,
    Duration,
    Name,
    ProfileField,
    Scalar,
    Strict,
    pattern,
)

SECRET = r"^secret://[A-Za-z0-9_]+$"
HTTP_URL = r"^https?://\S+$"
MATCHED = r"^(severity|rule|profile\..+|owner\.(title|language))$"

Secret = Annotated[str, Meta(extra_json_schema=pattern(SECRET), examples=["secret://CRM"])]
Address = Annotated[str, Meta(extra_json_schema=pattern(ADDRESS), examples=["ana@example.com"])]
Matched = Annotated[
    str, Meta(extra_json_schema=pattern(MATCHED), examples=["severity", "profile.tier"])
]


class Destination(Strict, frozen=True):
    """Where notifications can go."""

    type: Annotated[
        Literal["log", "webhook", "email"],
        Meta(description="A line in the log of the alerts service, a signed POST, or e-mail."),
    ]
    url: Annotated[str | None, Meta(description="Where a webhook is sent.")] = None
    secret: Annotated[
        Secret | None,
        Meta(
            description="secret://NAME: what the environment variable MYAKU_SECRET_NAME holds signs"
            " a webhook; the secret itself is never written here.",
        ),
    ] = None
    smtp: Annotated[
        Secret | None,
        Meta(
            description="secret://NAME: the environment variable MYAKU_SECRET_NAME holds the mail"
            " server, as smtp://user:password@host:587 or smtps://user:password@host:465.",
        ),
    ] = None
    sender: Annotated[Address | None, Meta(description="The address that e-mail comes from.")] = (
        msgspec.field(default=None, name="from")
    )
    to: Annotated[
        Address | None, Meta(description="The address that e-mail goes to, instead of the owner's.")
    ] = None
    timeout: Annotated[Duration, Meta(description="How long an answer may take, 1s to 60s.")] = (
        "20s"
    )


Names = Annotated[list[str], Meta(min_length=1)]


class Route(Strict, frozen=True):
    """Where some messages go."""

    match: Annotated[
        dict[Matched, Scalar | list[Scalar]],
        Meta(
            min_length=1,
            description="What the alert must have, all of it: severity, rule, owner.title,"
            " owner.language or profile.FIELD, each with a value or a list of them.",
        ),
    ]
    to: Annotated[Names, Meta(description="The destinations of these messages.")]


class Routing(Strict, frozen=True):
    """Who is told of an alert, and where."""

    fallback: Annotated[str, Meta(description="The owner of accounts that name none.")]
    destinations: Annotated[
        dict[Name, Destination], Meta(description="Where messages can go, by name.")
    ]
    to: Annotated[Names, Meta(description="The destinations of messages that no route matches.")]
    owner_chain: Annotated[
        tuple[ProfileField, ...],
        Meta(
            description="The profile fields that name an owner: the first who is there counts,"
            " then their managers."
        ),
    ] = ("profile.csm",)
    routes: Annotated[
        list[Route], Meta(description="Where messages go; the first that matches counts.")
    ] = msgspec.field(default_factory=list)
    fallback_to: Annotated[
        list[str],
        Meta(description="Where a message goes that could not be delivered, in this order."),
    ] = msgspec.field(default_factory=list)
    console_url: Annotated[
        Annotated[str, Meta(extra_json_schema=pattern(HTTP_URL))] | None,
        Meta(description="Where people look at alerts: messages link to it."),
    ] = None


class Person(Strict, frozen=True):
    """Somebody who may own accounts."""

    id: Annotated[
        str, Meta(min_length=1, description="What profiles call them: a name or an e-mail address.")
    ]
    email: Annotated[
        Address | None, Meta(description="Where e-mail reaches them, if their id is no address.")
    ] = None
    name: Annotated[str, Meta(description="How e-mail calls them.")] = ""
    language: Annotated[str, Meta(description="Theirs; routes may match it.")] = "en"
    title: Annotated[str, Meta(description="Their job; routes may match it.")] = ""
    manager: Annotated[
        str | None, Meta(description="The id of whoever is told while they are away.")
    ] = None
    active: Annotated[bool, Meta(description="false for who has left.")] = True
    out_of_office_until: Annotated[
        date | None,
        Meta(description="Their last day away, as 2026-08-14, in the product's time zone."),
    ] = None

    @property
    def address(self) -> str:
        """Where e-mail reaches them; their id, unless another is given."""
        return self.email or self.id


class People(Strict, frozen=True):
    """The customer-success managers."""

    people: Annotated[list[Person], Meta(description="Who may own accounts.")] = msgspec.field(
        default_factory=list
    )
