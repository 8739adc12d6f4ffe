"""Who is told of an alert, and where. Pure."""

from collections.abc import Mapping
from typing import Any

from shared.configuration import Routing


def owner(routing: Routing, profile: Mapping[str, Any]) -> str:
    """The first of the owner chain that the profile names, else the fallback."""
    for field in routing.owner_chain:
        name = profile.get(field.removeprefix("profile."))
        if isinstance(name, str) and name.strip():
            return name.strip()
    return routing.fallback


def destinations(routing: Routing) -> list[str]:
    """The names of the destinations of a notification, each once."""
    return list(dict.fromkeys(routing.to))
