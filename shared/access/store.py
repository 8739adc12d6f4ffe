"""Keys as rows."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.access.keys import Key

_COLUMNS = "id, access, source, name, hash, created_ms, revoked_ms"


async def select_keys(connection: AsyncConnection) -> list[Key]:
    """All keys, the oldest first; also those that were revoked."""
    rows = await connection.execute(text(f"SELECT {_COLUMNS} FROM access.key ORDER BY created_ms"))
    return [Key(*row) for row in rows]


async def save_key(connection: AsyncConnection, key: Key) -> None:
    """Keep a key; the same one again is in force again."""
    await connection.execute(
        text(
            "INSERT INTO access.key (id, access, source, name, hash, created_ms)"
            " VALUES (:id, :access, :source, :name, :hash, :created_ms)"
            " ON CONFLICT (id) DO UPDATE SET revoked_ms = NULL"
        ),
        {
            "id": key.id,
            "access": key.access,
            "source": key.source,
            "name": key.name,
            "hash": key.hash,
            "created_ms": key.created_ms,
        },
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
