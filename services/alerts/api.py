"""The HTTP API of alerts: what is open, what was sent, and what users do about it."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query
from pydantic import BaseModel, StringConstraints
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.acts import perform, unknown
from services.alerts.alert import outside, outside_event
from services.alerts.decide import Act
from services.alerts.queries import (
    Page,
    select_alert,
    select_alerts,
    select_barrier,
    select_events,
    select_notifications,
)
from shared import problems
from shared.access import Keyring, Needs
from shared.database import snapshot, transaction
from shared.http import application
from shared.problems import PageChoice, Text

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Remark = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]


READ = [Depends(Needs("read"))]
ACT = [Depends(Needs("act"))]


class AlertFilters(PageChoice):
    """Which alerts; without `state` the open ones: firing and recovering."""

    state: Literal["pending", "firing", "recovering", "resolved"] | None = None
    severity: Literal["info", "warning", "critical"] | None = None
    rule: Text | None = None
    owner: Text | None = None
    account_id: Text | None = None


class NotificationFilters(PageChoice):
    """Which notifications."""

    status: (
        Literal[
            "recorded", "held", "bundled", "queued", "leased", "retry", "sent", "dead", "superseded"
        ]
        | None
    ) = None
    alert_id: Text | None = None
    destination: Text | None = None


class Acknowledgement(BaseModel, extra="forbid"):
    """Who takes the alert on."""

    by: Name


class Closure(BaseModel, extra="forbid"):
    """Who is done with the alert, and what came of it."""

    by: Name
    verdict: Literal["saved", "false_alarm", "known", "churned"]
    note: Remark = ""


def create_app(
    database: AsyncEngine, keyring: Keyring, *, deliver_history: bool, wake: Callable[[], None]
) -> FastAPI:
    """The application; `wake` is called when an act left something to deliver."""
    app = application("alerts", keyring)
    _install_lists(app, database)

    async def _act(alert_id: str, act: Act) -> dict[str, Any]:
        async with transaction(database) as connection:
            alert, told = await perform(connection, alert_id, act, deliver_history=deliver_history)
        if told:
            wake()
        return outside(alert)

    @app.post("/v1/alerts/{alert_id}/acknowledge", dependencies=ACT)
    async def acknowledge(alert_id: str, body: Acknowledgement) -> dict[str, Any]:
        """Somebody has taken the alert on."""
        return await _act(alert_id, Act("acknowledge", body.by))

    @app.post("/v1/alerts/{alert_id}/close", dependencies=ACT)
    async def close(alert_id: str, body: Closure) -> dict[str, Any]:
        """Somebody is done with the alert."""
        reason = f"{body.verdict}: {body.note}" if body.note else body.verdict
        return await _act(alert_id, Act("close", body.by, reason))

    return app


def _install_lists(app: FastAPI, database: AsyncEngine) -> None:
    @app.get("/v1/alerts", dependencies=READ)
    async def alerts(filters: Annotated[AlertFilters, Query()]) -> dict[str, Any]:
        """Alerts, the newest first."""
        after = problems.read_cursor(filters.cursor, Page)
        wanted = filters.model_dump(exclude={"cursor", "limit"}, exclude_none=True)
        async with snapshot(database) as connection:
            found = await select_alerts(connection, wanted, after, filters.limit + 1)
        shown = found[: filters.limit]
        more = len(found) > filters.limit
        cursor = problems.write_cursor(Page(shown[-1].began_ms, shown[-1].id)) if more else None
        return problems.page([outside(alert) for alert in shown], cursor)

    @app.get("/v1/alerts/{alert_id}", dependencies=READ)
    async def alert(alert_id: str) -> dict[str, Any]:
        """One alert, with all that has happened to it."""
        async with snapshot(database) as connection:
            found = await select_alert(connection, alert_id)
            if found is None:
                raise unknown(alert_id)
            events = await select_events(connection, found[0], alert_id)
        return {**outside(found[1]), "events": [outside_event(event) for event in events]}

    @app.get("/v1/notifications", dependencies=READ)
    async def notifications(filters: Annotated[NotificationFilters, Query()]) -> dict[str, Any]:
        """Notifications, the newest first, with what became of them."""
        after = problems.read_cursor(filters.cursor, Page)
        wanted = filters.model_dump(exclude={"cursor", "limit"}, exclude_none=True)
        async with snapshot(database) as connection:
            found = await select_notifications(connection, wanted, after, filters.limit + 1)
        shown = found[: filters.limit]
        cursor = problems.write_cursor(shown[-1][0]) if len(found) > filters.limit else None
        return problems.page([notification for _, notification in shown], cursor)

    @app.get("/v1/barriers/{barrier_id}", dependencies=READ)
    async def barrier(barrier_id: str) -> dict[str, Any]:
        """How far a barrier has come: complete when every partition has handled it."""
        async with snapshot(database) as connection:
            partitions, seen = await select_barrier(connection, barrier_id)
        complete = 0 < partitions == seen
        return {"id": barrier_id, "partitions": partitions, "seen": seen, "complete": complete}
