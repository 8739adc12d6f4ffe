"""Alerts on a real database: batches handed to the room, and what the tables then hold."""

import secrets
from collections.abc import Sequence
from typing import Any

from aiokafka import ConsumerRecord
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.pipeline import Alerts
from services.alerts.records import RawRecord
from shared.database import snapshot
from shared.events import HEALTH_CHANGES, Marker

TABLES = {
    "account": "account_id, sequence, health",
    "standing": "account_id, rule, due_ms, record",
    "alert": "id, state, severity, owner, record",
    "event": "alert_id, number, record",
    "notification": "id, alert_id, number, destination, recipient, kind, at_ms, body",
    "barrier": "id",
}


def nobody() -> None:
    """Nobody is woken."""


def room(database: AsyncEngine, *, deliver_history: bool = False) -> Alerts:
    """A worker."""
    owner = secrets.token_hex(4)
    return Alerts(database, owner=owner, deliver_history=deliver_history, wake=nobody)


async def claimed(
    database: AsyncEngine, log_id: str = "log-1", *, partition: int = 0, partitions: int = 1
) -> tuple[Alerts, int]:
    """A worker that owns the partition, and the offset at which it goes on."""
    worker = room(database)
    return worker, await worker.load(partition, Marker(log_id, partitions))


def records(raw: Sequence[RawRecord], start: int = 0, partition: int = 0) -> list[ConsumerRecord]:
    """Records as Kafka gives them, numbered from `start`."""
    return [
        ConsumerRecord(
            topic=HEALTH_CHANGES,
            partition=partition,
            offset=offset,
            timestamp=0,
            timestamp_type=0,
            key=key,
            value=value,
            checksum=None,
            serialized_key_size=len(key or b""),
            serialized_value_size=len(value or b""),
            headers=(),
        )
        for offset, (_, key, value) in enumerate(raw, start)
    ]


async def tables(database: AsyncEngine) -> dict[str, list[tuple[Any, ...]]]:
    """What every table holds, but for offsets, owners and deliveries."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    async with snapshot(database) as connection:
        for table, columns in TABLES.items():
            rows = await connection.execute(
                text(f"SELECT partition, {columns} FROM alerts.{table} ORDER BY {columns}")
            )
            found[table] = [
                tuple(bytes(one) if isinstance(one, memoryview) else one for one in row)
                for row in rows
            ]
        rows = await connection.execute(
            text("SELECT partition, clock_ms, live, tick_ms FROM alerts.partition ORDER BY 1")
        )
        found["partition"] = [tuple(row) for row in rows]
    return found


async def one(database: AsyncEngine, sql: str) -> Any:
    """The one value that a query gives."""
    async with snapshot(database) as connection:
        return (await connection.execute(text(sql))).scalar_one()
