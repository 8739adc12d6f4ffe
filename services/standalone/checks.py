"""What `myaku up` finds wrong, or worth a word, before the services start."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from shared import database
from shared.runtime import UserError

IS_LIVE = text("SELECT bool_or((clock->'clock'->>'live')::boolean) FROM scoring.partition")


async def refuse_live(database_url: str) -> None:
    """Raises UserError where the database belongs to a deployment that has gone live."""
    engine = database.create(database_url, connections=1)
    try:
        async with database.snapshot(engine) as connection:
            is_live = (await connection.execute(IS_LIVE)).scalar()
    except database.LOST as error:
        raise database.unavailable(database_url, error) from error
    finally:
        await engine.dispose()
    if is_live:
        raise UserError(
            "This deployment is live and never returns to history: for a history of its own use"
            " a new directory, --data-dir DIR."
        )


def missing_secrets(document: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """A sentence for each destination of a configuration whose secret is not in the environment."""
    named = {
        name: f"MYAKU_SECRET_{str(each['secret']).removeprefix('secret://').upper()}"
        for name, each in document["routing"].get("destinations", {}).items()
        if each.get("secret")
    }
    return [
        f"Warning: nothing will be sent to {name} until {variable} is set."
        for name, variable in named.items()
        if not {variable, f"{variable}_FILE"} & environment.keys()
    ]
