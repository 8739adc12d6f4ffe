"""The write key and the token that up.json names: whoever holds the secret key can make them."""

from shared import database
from shared.access import derive
from shared.access.keys import Written
from shared.access.store import save_derived
from shared.runtime import now_ms
from shared.settings import Settings

NAME = "myaku up"
SOURCE = "http"


def write_key(secret_key: str) -> Written:
    """With it events are sent over HTTP."""
    return derive(secret_key, "write")


def token(secret_key: str) -> Written:
    """With it all is read and done through the APIs."""
    return derive(secret_key, "admin")


async def make(settings: Settings) -> None:
    """Keep both, so that the services take them, and end those of an earlier secret key."""
    secret_key = settings.secret_key.get_secret_value()
    engine = database.create(settings.database_url.get_secret_value(), connections=1)
    try:
        async with database.transaction(engine) as connection:
            made = write_key(secret_key).kept(NAME, SOURCE, now_ms())
            await save_derived(connection, [made, token(secret_key).kept(NAME, None, now_ms())])
    finally:
        await engine.dispose()
