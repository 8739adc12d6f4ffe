"""The HTTP API of scoring: accounts, their history, and where the partitions stand."""

from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from fastapi import FastAPI, Query, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from services.scoring.engine.calendar import DAYS, EPOCH
from services.scoring.queries import (
    FILTERS,
    DayHealth,
    Page,
    select_account,
    select_accounts,
    select_history,
    select_partitions,
)
from shared import problems
from shared.database import snapshot
from shared.problems import LIMIT_DEFAULT, LIMIT_MAX, Problem

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]
Sort = Literal["score", "-score", "change_7d", "change_28d", "account_id"]
JSON = "application/json"


class AccountFilters(BaseModel, extra="forbid"):
    """Which accounts, in which order; `q` looks into names and ids."""

    band: str | None = None
    csm: str | None = None
    size: str | None = None
    stage: str | None = None
    plan: str | None = None
    q: str | None = None
    sort: Sort = "score"
    cursor: str | None = None
    limit: Limit = LIMIT_DEFAULT


class _Accounts(msgspec.Struct):
    data: list[msgspec.Raw]
    next_cursor: str | None


def create_app(database: AsyncEngine) -> FastAPI:
    """The application; it reads and never writes."""
    app = FastAPI(title="Myaku scoring", version="1", openapi_url="/openapi.json")
    problems.install(app)

    @app.get("/v1/accounts")
    async def accounts(
        filters: Annotated[AccountFilters, Query()],
    ) -> Response:
        """Accounts by their health, the worst first."""
        after = problems.read_cursor(filters.cursor, Page)
        wanted = {
            name: value
            for name in ("band", "q", *FILTERS)
            if (value := getattr(filters, name)) is not None
        }
        async with snapshot(database) as connection:
            rows = await select_accounts(connection, wanted, filters.sort, after, filters.limit + 1)
        shown = rows[: filters.limit]
        more = len(rows) > filters.limit
        cursor = problems.write_cursor(Page(*shown[-1][:2])) if more else None
        body = _Accounts([msgspec.Raw(record.encode()) for _, _, record in shown], cursor)
        return Response(msgspec.json.encode(body), media_type=JSON)

    @app.get("/v1/accounts/{account_id}")
    async def account(account_id: str) -> Response:
        """One account's health, as it was last published."""
        async with snapshot(database) as connection:
            record = await select_account(connection, account_id)
        if record is None:
            raise _unknown(account_id)
        return Response(record, media_type=JSON)

    @app.get("/v1/accounts/{account_id}/history")
    async def history(
        account_id: str,
        first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None,
        limit: Limit = LIMIT_DEFAULT,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """The account's health at the end of each day, ascending; never rewritten."""
        start = problems.read_cursor(cursor, int)
        first_day = start if start is not None else _day_number(first, 0)
        async with snapshot(database) as connection:
            if await select_account(connection, account_id) is None:
                raise _unknown(account_id)
            days = await select_history(connection, account_id, first_day, _day_number(last, DAYS))
        shown = days[:limit]
        more = days[limit].day if len(days) > limit else None
        next_day = _day_number(date.fromisoformat(more), 0) if more else None
        return problems.page(
            [_row(day) for day in shown],
            None if next_day is None else problems.write_cursor(next_day),
        )

    @app.get("/v1/partitions")
    async def partitions() -> dict[str, Any]:
        """Where each partition of the log stands: its clock, mode and counts."""
        async with snapshot(database) as connection:
            return problems.page(await select_partitions(connection), None)

    return app


def _unknown(account_id: str) -> Problem:
    return Problem(404, "unknown_account", f"No event of account {account_id!r} was accepted yet.")


def _day_number(day: date | None, default: int) -> int:
    return default if day is None else (day - EPOCH).days


def _row(day: DayHealth) -> dict[str, Any]:
    return msgspec.to_builtins(day)
