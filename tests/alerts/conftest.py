"""A database of its own for each test, and a client as the dispatcher has one."""

from collections.abc import AsyncIterator

import httpx2
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Of the test's database."""
    opened = database.create(database_url)
    yield opened
    await opened.dispose()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """That follows nobody elsewhere."""
    async with httpx2.AsyncClient(follow_redirects=False, trust_env=False) as opened:
        yield opened
