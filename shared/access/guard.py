"""What a route demands of its caller, and how a caller shows who it is."""

import asyncio
from base64 import b64decode
from typing import Annotated, NamedTuple

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.access.keys import Access, Key, allows, id_in
from shared.access.store import select_keys
from shared.database import LOST, snapshot
from shared.problems import RETRY_AFTER, Problem
from shared.runtime import log

FRESH_SECONDS = 5.0
"""A key that was revoked is taken for so long at most."""

RELOAD_SECONDS_MIN = 0.5
"""What is not known is looked for in the database no more often than this."""

FIRST_SECONDS = 10.0
"""Nothing was ever read: then it is worth waiting for."""

PATIENCE_SECONDS = 1.0
"""A reading that takes longer is not waited for: what was last seen holds until it has ended."""


class Caller(NamedTuple):
    """Who calls, by its key."""

    id: str
    access: Access
    source: str
    name: str

    @property
    def author(self) -> str:
        """Who is told to have done something."""
        return self.name or self.id


class Keyring:
    """The keys in force. While the database is away, those that were last seen."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database = database
        self._keys: dict[str, Key] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._began_at = self._ended_at = float("-inf")  # of the newest reading

    async def caller(self, text: str) -> Caller:
        """Whose key the text is. Raises Problem 401, or 503 where that cannot be known now."""
        await self._refresh(FRESH_SECONDS)
        key = self._find(text)
        if key is None:
            await self._refresh(RELOAD_SECONDS_MIN)
            key = self._find(text)
        if self._keys is None:
            message = "The database with the keys cannot be reached: try again later."
            raise Problem(503, "unavailable", message, RETRY_AFTER)
        if key is None:
            raise unauthorized("unknown_key", "This key or token is not known, or was revoked.")
        return Caller(key.id, key.access, key.source or "", key.name)

    def _find(self, text: str) -> Key | None:
        key = (self._keys or {}).get(id_in(text))
        return key if key and key.is_of(text) else None

    async def _refresh(self, age_seconds: float) -> None:
        """Read the keys again if what is known is older than this. Does not wait for long."""
        now = asyncio.get_running_loop().time()
        if self._reading is None:
            if now - self._ended_at < age_seconds:
                return
            self._began_at = now
            self._reading = asyncio.create_task(self._read())
        most = PATIENCE_SECONDS if self._keys is not None else FIRST_SECONDS
        patience = self._began_at + most - now
        if patience > 0:
            await asyncio.wait({self._reading}, timeout=patience)

    async def _read(self) -> None:
        try:
            async with snapshot(self._database) as connection:
                keys = await select_keys(connection)
            self._keys = {key.id: key for key in keys if key.revoked_ms is None}
        except LOST as error:
            log.warning("keys not read", why=str(error))
        finally:
            self._ended_at = asyncio.get_running_loop().time()
            self._reading = None


class Needs:
    """A dependency of a route: a caller whose key allows so much. Raises Problem 401 or 403."""

    def __init__(self, access: Access) -> None:
        self.access = access

    async def __call__(
        self,
        request: Request,
        bearer: Annotated[
            HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False))
        ],
    ) -> Caller:
        """Who calls."""
        text = bearer.credentials if bearer else _basic(request)
        if not text:
            kind = "WRITE_KEY" if self.access == "write" else "TOKEN"
            raise unauthorized("no_key", f"Send the header Authorization: Bearer {kind}.")
        keyring: Keyring = request.app.state.keyring
        caller = await keyring.caller(text)
        if not allows(caller.access, self.access):
            raise Problem(403, "not_allowed", _refusal(caller.access, self.access))
        return caller


def _basic(request: Request) -> str:
    """A key as the user name, as `curl -u KEY:` and tracking clients send it."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(encoded, validate=True).decode().partition(":")[0]
    except ValueError:  # of base64, of UTF-8
        return ""


def _refusal(held: Access, needed: Access) -> str:
    if needed == "write":
        return f"This takes a write key, not the {held} token that was sent."
    if held == "write":
        return f"This takes a token with the access {needed!r}, not a write key."
    return f"This takes the access {needed!r}; the token has {held!r}."


def unauthorized(code: str, message: str) -> Problem:
    """The caller has not shown who it is."""
    return Problem(401, code, message, {"WWW-Authenticate": 'Bearer realm="myaku"'})
