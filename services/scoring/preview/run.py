"""A preview over all partitions, read from the database; nothing is changed."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.scoring.load import load
from services.scoring.preview.compare import Preview, compare
from shared.database import snapshot
from shared.offsets import Claim

PARTITIONS = text("SELECT partition FROM scoring.partition ORDER BY 1")
PARTITION = text("SELECT log_id, epoch, next FROM scoring.partition WHERE partition = :partition")


async def preview(engine: AsyncEngine, document: Mapping[str, Any]) -> Preview:
    """What a checked document would do; a partition at a time, each as of one moment."""
    whole = Preview()
    async with snapshot(engine) as connection:
        partitions = (await connection.execute(PARTITIONS)).scalars().all()
    for partition in partitions:
        async with snapshot(engine, unhurried=True) as connection:
            row = (await connection.execute(PARTITION, {"partition": partition})).one()
            held = Claim("scoring", partition, row.log_id, row.epoch, row.next)
            loaded = await load(connection, held)
        whole.add(compare(loaded.state, document))
    return whole
