"""The HTTP API of users: those of an account, and the accounts of one."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from fastapi import Path as InPath
from pydantic import BaseModel

from services.scoring.acts import unknown_account
from services.scoring.queries import select_account
from services.scoring.reading import READ, Reading
from services.scoring.user_queries import place, select_memberships, select_users
from shared import problems
from shared.configuration.values import RankName
from shared.problems import LIMIT_DEFAULT, LIMIT_MAX, Problem

Id = Annotated[str, InPath(pattern=problems.WITHOUT_NUL)]


class UserFilters(BaseModel, extra="forbid"):
    """Which users of an account."""

    rank: RankName | None = None
    cursor: str | None = None
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT


class _Page(msgspec.Struct, frozen=True):
    """Where a list goes on: behind the user of this score and id."""

    score: float
    user_id: str


routes = APIRouter()


@routes.get("/v1/accounts/{account_id:encoded}/users", dependencies=READ)
async def users(
    account_id: Id, filters: Annotated[UserFilters, Query()], reading: Reading
) -> dict[str, Any]:
    """The account's users, those with the highest engagement score first."""
    after = problems.read_cursor(filters.cursor, _Page)
    if await select_account(reading, account_id) is None:
        raise unknown_account(account_id)
    found = await select_users(reading, account_id)
    if filters.rank is not None:
        found = [member for member in found if member.rank == filters.rank]
    if after is not None:
        behind = -after.score, after.user_id.encode()
        found = [member for member in found if place(member) > behind]
    shown = found[: filters.limit]
    cursor = None
    if len(found) > filters.limit:
        cursor = problems.write_cursor(_Page(shown[-1].score or 0.0, shown[-1].user_id))
    return problems.page([_without(member, "account_id", "points") for member in shown], cursor)


@routes.get("/v1/users/{user_id:encoded}", dependencies=READ)
async def user(user_id: Id, reading: Reading) -> dict[str, Any]:
    """A user in each account where they were seen: rank, score, and what earned the points."""
    found = await select_memberships(reading, user_id)
    if not found:
        message = f"Nobody with the id {user_id!r} was seen in the last 120 days."
        raise Problem(404, "unknown_user", message)
    return {"user_id": user_id, "memberships": [_without(each, "user_id") for each in found]}


def _without(member: msgspec.Struct, *names: str) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(member)
    return {name: value for name, value in shown.items() if name not in names}
