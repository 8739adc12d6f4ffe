"""What the types of routing and people cannot say. Pure."""

import re
from collections.abc import Collection, Iterator

from shared.configuration.routing import (
    HTTP_URL,
    MATCHED,
    SECRET,
    Destination,
    People,
    Person,
    Routing,
)
from shared.configuration.values import Fault, Path, duration_ms, is_address, under

TIMEOUT_MS_MAX = 60_000
SEVERITIES = ("info", "warning", "critical")
NEEDED = {"log": (), "webhook": ("url", "secret"), "email": ("smtp", "from")}
"""The fields that a kind of destination cannot be without; a `to` is of e-mail alone."""


def routing_faults(routing: Routing, people: People, rules: Collection[str]) -> Iterator[Fault]:
    """What is wrong in `routing.yaml` and `people.yaml`; `rules` are the ids that there are."""
    yield from under(("routing", "routes"), _matched(routing, rules))
    yield from under(("routing",), _routing(routing))
    yield from under(("routing",), _fallback(routing, people))
    yield from under(("people", "people"), _people(people))


def _routing(routing: Routing) -> Iterator[Fault]:
    yield from _names(routing)
    for index, field in enumerate(routing.owner_chain):
        if not field.startswith("profile."):
            problem = f"{field!r}: owners are profile fields, profile.csm"
            yield Fault(("owner_chain", index), problem)
    for name, destination in routing.destinations.items():
        yield from under(("destinations", name), _destination(destination))
    if routing.console_url and not re.match(HTTP_URL, routing.console_url):
        yield Fault(("console_url",), "this is a URL, https://…")


def _names(routing: Routing) -> Iterator[Fault]:
    """Every name of a destination is one, and what is matched exists."""
    named: list[tuple[Path, list[str]]] = [
        (("to",), routing.to),
        (("fallback_to",), routing.fallback_to),
    ]
    for index, route in enumerate(routing.routes):
        named.append((("routes", index, "to"), route.to))
        for field in route.match:
            if not re.match(MATCHED, field):
                known = "severity, rule, owner.title, owner.language and profile.FIELD"
                problem = f"{field!r}: what can be matched is {known}"
                yield Fault(("routes", index, "match", field), problem)
    for path, names in named:
        for index, name in enumerate(names):
            if name not in routing.destinations:
                yield Fault((*path, index), f"{name!r} is no destination")


def _matched(routing: Routing, rules: Collection[str]) -> Iterator[Fault]:
    """A route that waits for what never comes would send everything elsewhere."""
    known = {"severity": SEVERITIES, "rule": tuple(rules)}
    for index, route in enumerate(routing.routes):
        for field in route.match.keys() & known.keys():
            wanted = route.match[field]
            for value in wanted if isinstance(wanted, list) else [wanted]:
                if value not in known[field]:
                    problem = f"{value!r} is no {field}: there are {', '.join(known[field])}"
                    yield Fault((index, "match", field), problem)


def _destination(destination: Destination) -> Iterator[Fault]:
    try:
        if not 0 < duration_ms(destination.timeout) <= TIMEOUT_MS_MAX:
            yield Fault(("timeout",), f"a timeout is 1s to 60s, not {destination.timeout}")
    except ValueError as error:
        yield Fault(("timeout",), str(error))
    yield from _fields(destination)
    for field, secret in (("secret", destination.secret), ("smtp", destination.smtp)):
        if secret and not re.match(SECRET, secret):
            yield Fault((field,), "a secret is named, never written here: secret://NAME")
    for field, address in (("from", destination.sender), ("to", destination.to)):
        if address and not is_address(address):
            yield Fault((field,), f"{address!r} is no e-mail address")


def _fields(destination: Destination) -> Iterator[Fault]:
    """Each kind of destination has what it needs, and nothing that it cannot use."""
    kind = destination.type
    given = {
        "url": destination.url,
        "secret": destination.secret,
        "smtp": destination.smtp,
        "from": destination.sender,
        "to": destination.to,
    }
    article = "an" if kind == "email" else "a"
    needed = NEEDED[kind]
    if not all(given[field] for field in needed):
        yield Fault((), f"{article} {kind} needs {' and '.join(map(repr, needed))}")
    allowed = (*needed, "to") if kind == "email" else needed
    for field in (field for field, value in given.items() if value and field not in allowed):
        yield Fault((field,), f"{article} {kind} destination has no {field!r}")


def _people(people: People) -> Iterator[Fault]:
    ids = [person.id.casefold() for person in people.people]
    addresses = [person.address.casefold() for person in people.people]
    for index, person in enumerate(people.people):
        if ids.index(person.id.casefold()) < index:
            yield Fault((index, "id"), f"two people have the id {person.id!r}")
        if addresses.index(person.address.casefold()) < index:
            yield Fault((index,), f"two people have the address {person.address!r}")
        if not is_address(person.address):
            yield Fault((index,), f"{person.id!r} needs an 'email' address")
        if person.manager is not None and person.manager.casefold() not in ids:
            yield Fault((index, "manager"), f"{person.manager!r} is the id of nobody here")


def _fallback(routing: Routing, people: People) -> Iterator[Fault]:
    """E-mail to owners reaches somebody also where an account names nobody."""
    to_owners = [
        name for name, each in routing.destinations.items() if each.type == "email" and not each.to
    ]
    if to_owners and not _reachable(routing.fallback, people.people):
        problem = (
            f"{to_owners[0]!r} sends e-mail to owners: {routing.fallback!r} must be an address,"
            " or somebody in people.yaml"
        )
        yield Fault(("fallback",), problem)


def _reachable(name: str, people: list[Person]) -> bool:
    return is_address(name) or name.casefold() in {person.id.casefold() for person in people}
