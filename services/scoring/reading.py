"""What routes that read share: one moment of the database, and which accounts are meant."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import Depends, Request
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scoring.queries import FILTERS, select_bands
from shared.access import Needs
from shared.database import snapshot
from shared.problems import Problem, Text

JSON = "application/json"
Level = Annotated[int, Field(ge=0, le=9)]


async def _reading(request: Request) -> AsyncIterator[AsyncConnection]:
    async with snapshot(request.app.state.database) as connection:
        yield connection


READ = [Depends(Needs("read"))]
Reading = Annotated[AsyncConnection, Depends(_reading)]


class AccountChoice(BaseModel, extra="forbid"):
    """Which accounts; `q` looks into names and ids, `closed` means those that are closed too."""

    band: list[Text] = []
    csm: Text | None = None
    size: Text | None = None
    stage: Text | None = None
    plan: Text | None = None
    matrix_stage: Text | None = None
    matrix_x: Level | None = None
    matrix_y: Level | None = None
    onboarding: Literal["running", "done", "failed"] | None = None
    q: Text | None = None
    closed: bool = False


def _is_level(value: Any) -> bool:
    """Whether a value is level 0, and not what was left out."""
    return value == 0 and value is not False


async def chosen(choice: AccountChoice, reading: AsyncConnection) -> dict[str, Any]:
    """What of the choice is given, by name. Raises Problem."""
    known = await select_bands(reading)
    for band in choice.band:
        if known and band not in known:
            there = ", ".join(known)
            raise Problem(422, "unknown_band", f"{band!r} is no band; there are: {there}.")
    given = {name: getattr(choice, name) for name in ("band", "q", "closed", *FILTERS)}
    return {name: value for name, value in given.items() if value or _is_level(value)}
