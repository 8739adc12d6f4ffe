"""Building partitions in the shadow, one after the other, to compare or to put in their place."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiokafka.errors import KafkaError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.scoring.rebuild import shadow
from services.scoring.rebuild.building import Building
from services.scoring.rebuild.comparing import compare
from services.scoring.rebuild.outcome import Rebuilt
from services.scoring.rebuild.replacing import lock, replace
from shared import kafka
from shared.database import snapshot, take_time, transaction
from shared.log_identity import check_log
from shared.runtime import UserError
from shared.settings import Settings

Told = Callable[[int, int, int], None]
"""Hears the partition, the offset that was reached, and the one to be reached."""


@asynccontextmanager
async def shadowing(settings: Settings, engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """The shadow, while it is needed. Raises UserError."""
    await check_log(settings, engine, "scoring")
    await shadow.refuse_broken_log(engine)
    await shadow.make(engine)
    made = shadow.engine(settings.database_url.get_secret_value())
    try:
        yield made
    finally:
        await made.dispose()
        await shadow.drop(engine)


async def partitions(engine: AsyncEngine, chosen: int | None) -> list[int]:
    """The partitions that there are, or the one that was chosen. Raises UserError."""
    async with snapshot(engine) as connection:
        found = await connection.execute(text("SELECT partition FROM scoring.partition ORDER BY 1"))
        there = list(found.scalars())
    if chosen is not None and chosen not in there:
        raise UserError(f"The database has no partition {chosen}: it has {there}.")
    return there if chosen is None else [chosen]


async def rebuild(
    settings: Settings,
    engine: AsyncEngine,
    made: AsyncEngine,
    partition: int,
    told: Told,
    *,
    replacing: bool = False,
) -> Rebuilt:
    """Build one partition, and compare it with what the database holds at the same record.

    Scoring goes on meanwhile. Where it is to be replaced, it waits for the end of that, and loads.
    """
    building = await _start(settings, engine, made, partition)
    consumer = kafka.reader(settings)
    await kafka.start(consumer, settings)

    async def reach(offset: int) -> None:
        await building.go_on(consumer, offset, lambda at: told(partition, at, offset))

    try:
        async with snapshot(engine) as connection:
            offset = await _next(connection, partition)
        await reach(offset)
        async with snapshot(engine, unhurried=True) as kept:
            offset = await _next(kept, partition)
            await reach(offset)
            async with snapshot(made, unhurried=True) as rebuilt:
                tables = [found async for found in compare(partition, kept, rebuilt)]
        if replacing:
            names = await shadow.tables(engine)
            async with transaction(engine) as connection:
                await take_time(connection)
                offset = await lock(connection, partition)
                await reach(offset)
                await replace(connection, partition, names)
    except KafkaError as error:
        raise kafka.BrokerUnavailable(
            f"The broker at {settings.kafka} gives no records: {error}."
        ) from error
    finally:
        await consumer.stop()
    return Rebuilt(partition, offset, tables, replacing)


async def _start(
    settings: Settings, engine: AsyncEngine, made: AsyncEngine, partition: int
) -> Building:
    async with snapshot(engine) as connection:
        found = await connection.execute(
            text("SELECT log_id, partitions FROM scoring.partition WHERE partition = :partition"),
            {"partition": partition},
        )
        row = found.one()
    building = Building(settings, made, row.partitions)
    await building.start(partition, row.log_id)
    return building


async def _next(connection: AsyncConnection, partition: int) -> int:
    found = await connection.execute(
        text("SELECT next FROM scoring.partition WHERE partition = :partition"),
        {"partition": partition},
    )
    return int(found.scalar_one())
