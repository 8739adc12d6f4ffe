"""Who is told of an alert, and where. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.alerts.alert import Lane
from shared.configuration import People, Person, Routing, is_address


@dataclass(frozen=True)
class Owner:
    """Who owns an account; `known` is false for the fallback of an account that names nobody."""

    name: str
    known: bool = True


OWNER_CHARACTERS_MAX = 200


class Directory:
    """Where messages go, and the people they go to."""

    def __init__(self, routing: Routing, people: People) -> None:
        self.routing = routing
        self.people = {person.id.casefold(): person for person in people.people}
        by_address = {person.address.casefold(): person for person in people.people}
        self._named = by_address | self.people

    def owner(self, profile: Mapping[str, Any], today: date) -> Owner:
        """The first who is named and is there, else the first manager who is, else the fallback.

        `today` is the day of the product's calendar.
        """
        named = list(self._names(profile))
        for name in named:
            person = self.person(name)
            if person is None and (is_address(name) or not self.people):
                return Owner(name)
            if person and is_there(person, today):
                return Owner(person.id)
        for name in named:
            for manager in self._managers(name):
                if is_there(manager, today):
                    return Owner(manager.id)
        return Owner(self.routing.fallback, known=False)

    def person(self, name: str) -> Person | None:
        """Whom a name or an e-mail address means, if people.yaml knows them."""
        return self._named.get(name.casefold())

    def lanes(self, owner: str, severity: str | None, rule: str, profile: Any) -> list[Lane]:
        """Where a message goes: the first route that matches, each of its destinations once."""
        person = self.person(owner)
        facts = {
            "severity": severity,
            "rule": rule,
            "owner.title": person.title if person else None,
            "owner.language": person.language if person else None,
        }
        facts |= {f"profile.{field}": value for field, value in profile.items()}
        for route in self.routing.routes:
            if all(is_met(facts.get(field), wanted) for field, wanted in route.match.items()):
                return self._lanes(route.to, owner)
        return self._lanes(self.routing.to, owner)

    def recipient(self, destination: str, owner: str) -> str:
        """The address to which a destination sends what an owner is to know; empty if none."""
        place = self.routing.destinations[destination]
        return (place.to or self._address(owner)) if place.type == "email" else ""

    def _lanes(self, names: Sequence[str], owner: str) -> list[Lane]:
        return [(name, self.recipient(name, owner)) for name in dict.fromkeys(names)]

    def _address(self, owner: str) -> str:
        """Of an owner who has none, the fallback's: nothing goes nowhere."""
        for name in (owner, self.routing.fallback):
            person = self.person(name)
            if person or is_address(name):
                return person.address if person else name
        return ""

    def _names(self, profile: Mapping[str, Any]) -> Iterator[str]:
        for field in self.routing.owner_chain:
            name = profile.get(field.removeprefix("profile."))
            if isinstance(name, str) and name.strip():
                # One line, and no essay: whoever fills a profile must not write into a digest.
                yield " ".join(name.split())[:OWNER_CHARACTERS_MAX]

    def _managers(self, name: str) -> Iterator[Person]:
        """The manager, the manager's manager and so on; each once."""
        seen: set[str] = set()
        person = self.person(name)
        while person and person.manager and person.manager.casefold() not in seen:
            seen.add(person.manager.casefold())
            person = self.people[person.manager.casefold()]
            yield person


def is_there(person: Person, today: date) -> bool:
    """Whether somebody can be told today."""
    away_until = person.out_of_office_until
    return person.active and not (away_until and today <= away_until)


def is_met(value: Any, wanted: Any) -> bool:
    """Whether a value is the wanted one, or in the wanted list; true is not 1."""
    choices = wanted if isinstance(wanted, list) else [wanted]
    return any(
        isinstance(value, bool) == isinstance(choice, bool) and value == choice
        for choice in choices
    )
