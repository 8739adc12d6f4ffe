"""The secrets that a configuration names, and the environment that must hold them. Pure."""

from collections.abc import Mapping
from typing import Any


def missing_secrets(document: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """A sentence for each destination of a configuration whose secret is not in the environment."""
    named = {
        name: f"MYAKU_SECRET_{secret.removeprefix('secret://').upper()}"
        for name, each in document["routing"].get("destinations", {}).items()
        if (secret := each.get("secret") or each.get("smtp"))
    }
    return [
        f"Warning: nothing will be sent to {name} until {variable} is set."
        for name, variable in named.items()
        if not {variable, f"{variable}_FILE"} & environment.keys()
    ]
