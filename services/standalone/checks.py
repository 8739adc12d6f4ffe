"""What `myaku up` finds wrong, or worth a word, before the services start."""

from sqlalchemy import text

from shared import database
from shared.runtime import UserError

IS_LIVE = text("SELECT bool_or((clock->'clock'->>'live')::boolean) FROM scoring.partition")


async def refuse_live(database_url: str) -> None:
    """Raises UserError where the database belongs to a deployment that has gone live."""
    [(is_live,)] = await database.ask(database_url, IS_LIVE)
    if is_live:
        raise UserError(
            "This deployment is live and never returns to history: for a history of its own use"
            " a new directory, --data-dir DIR."
        )
