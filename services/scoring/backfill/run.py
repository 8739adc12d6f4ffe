"""Reading the kept log for what waits for it, and handing over what it says."""

import asyncio
import secrets
import tempfile
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.scoring.backfill.kept_log import read_log
from services.scoring.backfill.outcome import Outcome
from services.scoring.backfill.waiting import PENDING, STILL, WaitingPartition, waiting
from services.scoring.tables.backfill import forget_learned, save_learned
from services.scoring.tables.partition import Writer
from shared.database import snapshot, transaction
from shared.events import BACKFILLED, USAGE_ACCEPTED, Backfilled, encode
from shared.runtime import UserError
from shared.settings import Settings

LOOK_SECONDS = 0.2


async def backfill(
    settings: Settings, engine: AsyncEngine, producer: AIOKafkaProducer, *, wait_seconds: float
) -> Outcome:
    """Read the log of each partition for its signals that wait, and hand over what it says.

    Nothing is counted twice however often it is run, and whenever it is cut short: what was read
    is taken in as a whole, in the commit that ends the signals' waiting. Raises UserError.
    """
    async with snapshot(engine) as connection:
        found = await waiting(connection)
        pending = bool((await connection.execute(PENDING)).scalar_one())
    for partition in found:
        await _hand_over(settings, engine, producer, partition)
    return Outcome(
        partitions=len(found),
        metrics=frozenset(name for partition in found for name in partition.metrics),
        whole=all(partition.is_first_log for partition in found),
        pending=pending,
        taken_in=await _wait(engine, found, wait_seconds),
    )


async def _hand_over(
    settings: Settings,
    engine: AsyncEngine,
    producer: AIOKafkaProducer,
    partition: WaitingPartition,
) -> None:
    """What the log says goes into the database, and then a record that lets it in."""
    name = secrets.token_hex(8)
    async with transaction(engine) as connection:
        await forget_learned(Writer(connection, partition.partition))
    number = 0
    with tempfile.TemporaryDirectory(prefix="myaku-backfill-") as directory:
        async for piece in read_log(settings, partition, Path(directory)):
            async with transaction(engine) as connection:
                writer = Writer(connection, partition.partition)
                await save_learned(writer, name, number, piece)
            number += 1
    try:
        await producer.send_and_wait(
            USAGE_ACCEPTED,
            encode(Backfilled(name)),
            key=BACKFILLED.encode(),
            partition=partition.partition,
        )
    except (KafkaError, TimeoutError) as error:
        raise UserError(
            f"The Kafka broker at {settings.kafka} did not take the last record ({error}):"
            " run `myaku backfill` again, which does no harm."
        ) from error


async def _wait(engine: AsyncEngine, found: list[WaitingPartition], seconds: float) -> bool:
    """Wait until scoring has taken all of it in; whether it has."""
    wanted = {(each.partition, signal.signal_no) for each in found for signal in each.signals}
    try:
        async with asyncio.timeout(seconds):
            while True:
                async with snapshot(engine) as connection:
                    still = {(row[0], row[1]) for row in await connection.execute(STILL)}
                if not wanted & still:
                    return True
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        return False
