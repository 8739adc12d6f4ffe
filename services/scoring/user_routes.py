"""The HTTP API of users: those of an account, and the accounts of one."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query

from services.scoring.acts import unknown_account
from services.scoring.queries import select_account
from services.scoring.reading import READ, Reading
from services.scoring.user_queries import UNRANKED, place, select_memberships, select_users
from shared import problems
from shared.configuration.values import RankName
from shared.problems import Id, PageChoice, Problem


class UserFilters(PageChoice):
    """Which users of an account."""

    rank: RankName | None = None


class _Place(msgspec.Struct, frozen=True):
    """Where a list goes on: behind the user of this rank and id."""

    rank: Annotated[int, msgspec.Meta(ge=0, le=UNRANKED)]
    user_id: str


class _AfterAccount(msgspec.Struct, frozen=True):
    account_id: str


routes = APIRouter()


@routes.get("/v1/accounts/{account_id:encoded}/users", dependencies=READ)
async def users(
    account_id: Id, filters: Annotated[UserFilters, Query()], reading: Reading
) -> dict[str, Any]:
    """The account's users, the best rank first, then by their ids."""
    after = problems.read_cursor(filters.cursor, _Place)
    if await select_account(reading, account_id) is None:
        raise unknown_account(account_id)
    behind = (after.rank, after.user_id) if after else None
    found = await select_users(reading, account_id, filters.rank, behind, filters.limit + 1)
    shown = found[: filters.limit]
    more = len(found) > filters.limit
    cursor = problems.write_cursor(_Place(*place(shown[-1]))) if more else None
    return problems.page([_without(member, "account_id", "points") for member in shown], cursor)


@routes.get("/v1/users/{user_id:encoded}", dependencies=READ)
async def user(
    user_id: Id, page: Annotated[PageChoice, Query()], reading: Reading
) -> dict[str, Any]:
    """A user in each account where they were seen: rank, score, and what earned the points."""
    after = problems.read_cursor(page.cursor, _AfterAccount)
    behind = after.account_id if after else None
    found = await select_memberships(reading, user_id, behind, page.limit + 1)
    if not found and after is None:
        message = f"Nobody with the id {user_id!r} was seen in the last 120 days."
        raise Problem(404, "unknown_user", message)
    shown = found[: page.limit]
    more = len(found) > page.limit
    cursor = problems.write_cursor(_AfterAccount(shown[-1].account_id)) if more else None
    memberships = [_without(member, "user_id") for member in shown]
    return {"user_id": user_id, "memberships": memberships, "next_cursor": cursor}


def _without(member: msgspec.Struct, *names: str) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(member)
    return {name: value for name, value in shown.items() if name not in names}
