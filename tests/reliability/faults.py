"""Faults inside a worker's transactions, at a chosen statement, on a real PostgreSQL."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

READ_ONLY = "postgresql_readonly"
Act = Callable[[], Awaitable[None]]


@dataclass
class Plan:
    """What happens to a worker next, and at which of its statements."""

    fault: str
    at: int
    act: Act | None = None
    snapshots_only: bool = False  # elsewhere the others would wait for this worker's lock


class Faults:
    """Makes a worker's engine fail as planned; counts what really happened.

    `refused`     the statement fails before it is sent
    `cut`         the server ends the connection before the statement
    `unsaved`     the connection ends before COMMIT is sent
    `unanswered`  COMMIT is carried out, and the connection ends before its answer
    `meanwhile`   somebody else acts before the statement
    """

    def __init__(self, engine: AsyncEngine, admin: asyncpg.Connection, seen: Counter[str]) -> None:
        self.admin = admin
        self.seen = seen
        self.plan: Plan | None = None
        event.listen(engine.sync_engine, "before_cursor_execute", self._statement)
        event.listen(engine.sync_engine, "commit", self._commit)

    def _statement(self, connection: Any, *_: Any) -> None:
        plan = self.plan
        if plan is None or plan.fault in ("unsaved", "unanswered"):
            return
        if plan.snapshots_only and not connection.get_execution_options().get(READ_ONLY):
            return
        plan.at -= 1
        if plan.at >= 0:
            return
        self._done(plan)
        if plan.fault == "refused":
            raise ConnectionResetError("refused")
        if plan.fault == "cut":
            self._end(connection)
        elif plan.act is not None:
            await_only(plan.act())

    def _commit(self, connection: Any) -> None:
        plan = self.plan
        if plan is None or plan.fault not in ("unsaved", "unanswered"):
            return
        self._done(plan)
        if plan.fault == "unanswered":
            await_only(_driver(connection).execute("COMMIT"))
        self._end(connection)

    def _done(self, plan: Plan) -> None:
        self.plan = None
        self.seen[plan.fault] += 1

    def _end(self, connection: Any) -> None:
        driver = _driver(connection)
        pid = driver.get_server_pid()
        await_only(self.admin.execute("SELECT pg_terminate_backend($1, 5000)", pid))


def _driver(connection: Any) -> Any:
    return connection.connection.driver_connection
