"""Keys as rows."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.access.keys import Key

_INSERT = text(
    "INSERT INTO access.key (id, access, source, name, hash, created_ms, derived)"
    " VALUES (:id, :access, :source, :name, :hash, :created_ms, :derived)"
    " ON CONFLICT (id) DO UPDATE SET revoked_ms = NULL"
)
_KEPT = ("id", "access", "source", "name", "hash", "created_ms")
_COLUMNS = "id, access, source, name, hash, created_ms, revoked_ms"


async def select_keys(connection: AsyncConnection) -> list[Key]:
    """All keys, the oldest first; also those that were revoked."""
    rows = await connection.execute(text(f"SELECT {_COLUMNS} FROM access.key ORDER BY created_ms"))
    return [Key(*row) for row in rows]


async def save_key(connection: AsyncConnection, key: Key) -> None:
    """Keep a new key."""
    await connection.execute(_INSERT, _values(key) | {"derived": False})


async def save_derived(connection: AsyncConnection, keys: Sequence[Key]) -> None:
    """Let these be the derived keys in force, and no others: those of an older secret key end."""
    for key in keys:
        await connection.execute(_INSERT, _values(key) | {"derived": True})
    await connection.execute(
        text(
            "UPDATE access.key SET revoked_ms = :now_ms"
            " WHERE derived AND revoked_ms IS NULL AND id <> ALL(:ids)"
        ),
        {"ids": [key.id for key in keys], "now_ms": max(key.created_ms for key in keys)},
    )


async def revoke_key(connection: AsyncConnection, key_id: str, now_ms: int) -> bool:
    """End a key; one that has ended stays as it is. Whether there is such a key."""
    revoked = await connection.execute(
        text(
            "UPDATE access.key SET revoked_ms = coalesce(revoked_ms, :now_ms) WHERE id = :id"
            " RETURNING id"
        ),
        {"id": key_id, "now_ms": now_ms},
    )
    return revoked.first() is not None


def _values(key: Key) -> dict[str, object]:
    return {name: getattr(key, name) for name in _KEPT}
