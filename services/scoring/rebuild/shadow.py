"""The shadow: a schema with the tables of scoring, for a state that is built beside it.

What saves and loads a partition names its tables `scoring.…`; on an engine of the shadow the same
statements mean the shadow's.
"""

import re
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database
from shared.database import snapshot, transaction
from shared.runtime import UserError

SCHEMA = "scoring_rebuilt"
_OURS = re.compile(r"\bscoring\.")


def engine(url: str) -> AsyncEngine:
    """An engine to which `scoring.` is the shadow."""
    made = database.create(url, connections=2, application="myaku-rebuild", patience_seconds=None)
    event.listen(made.sync_engine, "before_cursor_execute", _renamed, retval=True)
    return made


def _renamed(*given: Any) -> tuple[str, Any]:
    _, _, statement, parameters, *_ = given
    return _OURS.sub(f"{SCHEMA}.", statement), parameters


async def tables(database: AsyncEngine) -> list[str]:
    """The tables of scoring."""
    async with snapshot(database) as connection:
        found = await connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'scoring' ORDER BY 1")
        )
        return list(found.scalars())


async def make(database: AsyncEngine) -> None:
    """Empty tables, in place of what an earlier run may have left; partitions as they are known."""
    names = await tables(database)
    async with transaction(database) as connection:
        await connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        await connection.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
        for name in names:
            await connection.exec_driver_sql(
                f"CREATE UNLOGGED TABLE {SCHEMA}.{name} (LIKE scoring.{name} INCLUDING ALL)"
            )
        await connection.exec_driver_sql(
            f"INSERT INTO {SCHEMA}.partition (partition, log_id, epoch, next, owner, hash_seed,"
            " partitions, first_log_id) SELECT partition, log_id, 0, 0, '', hash_seed, partitions,"
            " first_log_id FROM scoring.partition"
        )


async def drop(database: AsyncEngine) -> None:
    """Leave nothing."""
    async with transaction(database) as connection:
        await connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")


async def refuse_broken_log(database: AsyncEngine) -> None:
    """Raises UserError where the log does not have everything since the deployment's beginning."""
    async with snapshot(database) as connection:
        found = await connection.execute(
            text(
                "SELECT partition FROM scoring.partition"
                " WHERE is_cut OR first_log_id IS DISTINCT FROM log_id ORDER BY 1"
            )
        )
        broken = list(found.scalars())
    if broken:
        raise UserError(
            f"The log of partition {broken[0]} is not the deployment's first, or was cut: its state"
            " was made from more than the log has, and cannot be built from it."
        )
