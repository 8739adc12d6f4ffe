"""The service as a process, on a real broker: killed where it hurts, it tells everybody once."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx2
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.records import RawRecord
from services.standalone.ports import free_port
from shared import database, kafka, topics
from shared.events import HEALTH_CHANGES
from shared.settings import Settings
from tests import callers
from tests.alerts.receiver import SECRET, receiving, webhook
from tests.alerts.rows import one
from tests.alerts.world import AT_ONCE, barrier, config, health, tick
from tests.conftest import SECRET_KEY, settings_for
from tests.processes import until


def start(settings: Settings, ports: tuple[int, int], log: Path) -> "subprocess.Popen[bytes]":
    """The service, delivering history."""
    environment = {
        **os.environ,
        "MYAKU_KAFKA": settings.kafka,
        "MYAKU_DATABASE_URL": settings.database_url.get_secret_value(),
        "MYAKU_SECRET_KEY": SECRET_KEY,
        "MYAKU_GROUP": settings.group,
        "MYAKU_KAFKA_SESSION_TIMEOUT_MS": "6000",
        "MYAKU_ALERTS_PORT": str(ports[0]),
        "MYAKU_ALERTS_OPERATIONS_PORT": str(ports[1]),
        "MYAKU_DELIVER_HISTORY": "true",
        "MYAKU_SECRET_HOOK": SECRET,
    }
    with log.open("ab") as output:
        command = [sys.executable, "-m", "services.alerts"]
        return subprocess.Popen(command, env=environment, stderr=output)


async def send(settings: Settings, raw: Sequence[RawRecord]) -> None:
    """Write records into the only partition."""
    producer = kafka.producer(settings)
    await kafka.start(producer, settings)
    for _, key, value in raw:
        await producer.send_and_wait(HEALTH_CHANGES, value, key=key, partition=0)
    await producer.stop()


async def complete(engine: AsyncEngine, port: int, name: str) -> None:
    """Return when a barrier has come through."""
    headers = callers.bearing(await callers.key(engine, "read"))
    url = f"http://127.0.0.1:{port}/v1/barriers/{name}"

    async def is_through() -> bool:
        try:
            return (await client.get(url)).json().get("complete") is True
        except httpx2.TransportError:
            return False

    async with httpx2.AsyncClient(trust_env=False, headers=headers) as client:
        await until(is_through)


async def end_leases(engine: AsyncEngine) -> None:
    """As if the time of every lease were over."""
    async with database.transaction(engine) as connection:
        await connection.exec_driver_sql("UPDATE alerts.notification SET lease_until_ms = 0")


async def all_sent(engine: AsyncEngine) -> None:
    """Return when nothing is left to send."""

    async def nothing_is_left() -> bool:
        sql = "SELECT count(*) FROM alerts.notification WHERE status <> 'sent'"
        return not await one(engine, sql)

    await until(nothing_is_left)


async def test_killed_while_it_sends_it_sends_again_under_the_same_id(
    kafka_address: str, database_url: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka_address, database_url)
    await topics.create_log(settings, partitions=1, log_id="log-1", source_partitions=1)
    ports = (free_port(), free_port())
    engine = database.create(database_url)
    async with receiving("hang") as receiver:
        first = config(AT_ONCE, destinations={"hook": webhook(receiver)}, to=["hook"])
        await send(settings, [first, health(0, 55, 1, "a", mode="history"), barrier("one")])
        process = start(settings, ports, tmp_path / "alerts.log")
        try:
            await asyncio.wait_for(receiver.arrived.wait(), 60)
            process.send_signal(signal.SIGKILL)
            process.wait()
            more = [health(1, 50, 1, "b", mode="history"), tick(2, "history"), barrier("two")]
            await send(settings, more)
            async with database.transaction(engine) as connection:  # the lease has ended
                await connection.exec_driver_sql(
                    "UPDATE alerts.notification SET lease_until_ms = 0"
                )
            process = start(settings, ports, tmp_path / "alerts.log")
            await complete(engine, ports[0], "two")
            await all_sent(engine)
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 0
        finally:
            process.kill()
            process.wait()
    assert len(receiver.ids) == 3
    assert len(set(receiver.ids)) == 2
    assert receiver.ids.count(receiver.ids[0]) == 2
    assert await one(engine, "SELECT count(*) FROM alerts.alert") == 2
    await engine.dispose()
