"""How a route reads: with a token that may, in one snapshot of the database."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.access import Needs
from shared.database import snapshot


async def _snapshot(request: Request) -> AsyncIterator[AsyncConnection]:
    async with snapshot(request.app.state.database) as connection:
        yield connection


READ = [Depends(Needs("read"))]
Reading = Annotated[AsyncConnection, Depends(_snapshot)]
