"""Callers of the HTTP APIs: keys in a real database, and clients that send them."""

import httpx2
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.access import Access, generate
from shared.access.store import save_key
from shared.database import transaction


async def key(engine: AsyncEngine, access: Access = "admin", source: str = "web-app") -> str:
    """A new write key or token, as it was shown."""
    written = generate(access)
    kept = written.kept("test", source if access == "write" else None, 0)
    async with transaction(engine) as connection:
        await save_key(connection, kept)
    return written.text


def bearing(text: str) -> dict[str, str]:
    """The header that shows a key."""
    return {"Authorization": f"Bearer {text}"}


async def client(app: FastAPI, engine: AsyncEngine, access: Access = "admin") -> httpx2.AsyncClient:
    """A client of an application, in this process, that may do so much."""
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app),
        base_url="http://service",
        headers=bearing(await key(engine, access)),
    )
