"""The HTTP API of scoring: accounts, their history, and where the partitions stand."""

from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, FastAPI, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.scoring import act_routes, success_routes, user_routes
from services.scoring.acts import Acts, unknown_account
from services.scoring.engine.calendar import DAYS, EPOCH
from services.scoring.queries import (
    Page,
    select_account,
    select_accounts,
    select_history,
    select_partitions,
    select_sources,
)
from services.scoring.reading import JSON, READ, AccountChoice, Reading, chosen
from shared import problems
from shared.access import Keyring
from shared.http import application
from shared.problems import Id, PageChoice


class AccountFilters(AccountChoice, PageChoice):
    """Which accounts, in which order."""

    sort: Literal["score", "-score", "change_7d", "change_28d", "account_id"] = "score"


class DayRange(PageChoice, validate_by_name=True):
    """Which days of a history, both ends included."""

    first: Annotated[date | None, Query(alias="from")] = None
    last: Annotated[date | None, Query(alias="to")] = None


class _Accounts(msgspec.Struct):
    data: list[msgspec.Raw]
    next_cursor: str | None


class _NextDay(msgspec.Struct, frozen=True):
    day: Annotated[int, msgspec.Meta(ge=0, lt=DAYS)]


class _AfterSource(msgspec.Struct, frozen=True):
    source: str


def create_app(database: AsyncEngine, keyring: Keyring, acts: Acts) -> FastAPI:
    """The application; it reads the database, and writes into the log what people do."""
    app = application("scoring", keyring)
    app.state.database = database
    app.state.acts = acts
    app.include_router(routes)
    app.include_router(act_routes.routes)
    app.include_router(success_routes.routes)
    app.include_router(user_routes.routes)
    return app


routes = APIRouter()


@routes.get("/v1/accounts", dependencies=READ)
async def accounts(filters: Annotated[AccountFilters, Query()], reading: Reading) -> Response:
    """Accounts by their health, the worst first."""
    after = problems.read_cursor(filters.cursor, Page)
    wanted = await chosen(filters, reading)
    rows = await select_accounts(reading, wanted, filters.sort, after, filters.limit + 1)
    shown = rows[: filters.limit]
    more = len(rows) > filters.limit
    cursor = problems.write_cursor(Page(*shown[-1][:2])) if more else None
    body = _Accounts([msgspec.Raw(record.encode()) for _, _, record in shown], cursor)
    return Response(msgspec.json.encode(body), media_type=JSON)


@routes.get("/v1/accounts/{account_id:encoded}", dependencies=READ)
async def account(account_id: Id, reading: Reading) -> Response:
    """One account's health, as it was last published."""
    return Response(await _record(reading, account_id), media_type=JSON)


@routes.get("/v1/accounts/{account_id:encoded}/history", dependencies=READ)
async def history(
    account_id: Id, days: Annotated[DayRange, Query()], reading: Reading
) -> dict[str, Any]:
    """The account's health at the end of each day, ascending; never rewritten."""
    next_day = problems.read_cursor(days.cursor, _NextDay)
    first_day = next_day.day if next_day else _day_number(days.first, 0)
    last_day = _day_number(days.last, DAYS)
    await _record(reading, account_id)
    rows = await select_history(reading, account_id, first_day, last_day, days.limit + 1)
    more = rows[days.limit].day if len(rows) > days.limit else None
    cursor = None
    if more is not None:
        cursor = problems.write_cursor(_NextDay(_day_number(date.fromisoformat(more), 0)))
    return problems.page([msgspec.to_builtins(row) for row in rows[: days.limit]], cursor)


@routes.get("/v1/partitions", dependencies=READ)
async def partitions(reading: Reading) -> dict[str, Any]:
    """Where each partition of the log stands: its clock, mode and counts."""
    return problems.page(await select_partitions(reading), None)


@routes.get("/v1/sources", dependencies=READ)
async def sources(page: Annotated[PageChoice, Query()], reading: Reading) -> dict[str, Any]:
    """Where events come from, and whether each source is heard of as often as it should be."""
    after = problems.read_cursor(page.cursor, _AfterSource)
    found = await select_sources(reading, after.source if after else None, page.limit + 1)
    shown = found[: page.limit]
    more = len(found) > page.limit
    cursor = problems.write_cursor(_AfterSource(shown[-1].source)) if more else None
    return problems.page([msgspec.to_builtins(row) for row in shown], cursor)


async def _record(reading: AsyncConnection, account_id: str) -> str:
    record = await select_account(reading, account_id)
    if record is None:
        raise unknown_account(account_id)
    return record


def _day_number(day: date | None, default: int) -> int:
    return default if day is None else (day - EPOCH).days
