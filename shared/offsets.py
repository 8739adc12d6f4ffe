"""The fence: one row per partition says who owns it, and where in which log it stands.

An offset lives with the results it stands for, and moves by compare-and-set as the first
statement of the transaction that saves them. No row updated means that somebody else owns the
partition: roll back, drop the state.
"""

from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

Schema = Literal["scoring", "alerts"]


class Fenced(Exception):
    """Another worker owns the partition now: what this one holds of it is worthless."""


@dataclass(frozen=True)
class Claim:
    """Ownership of one partition: `next` is the offset of the first record not yet handled."""

    schema: Schema
    partition: int
    log_id: str
    epoch: int
    next: int

    def at(self, offset: int) -> "Claim":
        """The same claim, `offset` being the first record not yet handled."""
        return replace(self, next=offset)


async def claim(
    connection: AsyncConnection, schema: Schema, partition: int, log_id: str, owner: str
) -> Claim:
    """Take the partition over; from here on no other worker's commit can succeed.

    A row of another log than `log_id` stays as it is, and so no commit succeeds.
    """
    row = (
        await connection.execute(
            text(
                f"INSERT INTO {schema}.partition AS p (partition, log_id, epoch, next, owner)"
                " VALUES (:partition, :log_id, 1, 0, :owner)"
                " ON CONFLICT (partition) DO UPDATE SET"
                " epoch = p.epoch + 1, owner = excluded.owner, claimed_at = clock_timestamp()"
                " RETURNING epoch, next"
            ),
            {"partition": partition, "log_id": log_id, "owner": owner},
        )
    ).one()
    return Claim(schema, partition, log_id, row.epoch, row.next)


async def advance(connection: AsyncConnection, held: Claim, offset: int) -> Claim:
    """Move the partition to `offset`: the first statement of a commit. Raises Fenced."""
    moved = await connection.execute(
        text(
            f"UPDATE {held.schema}.partition SET next = :new"
            " WHERE partition = :partition AND log_id = :log_id AND epoch = :epoch AND next = :old"
        ),
        {
            "new": offset,
            "partition": held.partition,
            "log_id": held.log_id,
            "epoch": held.epoch,
            "old": held.next,
        },
    )
    if moved.rowcount != 1:
        raise Fenced(f"partition {held.partition} of {held.schema} has another owner")
    return held.at(offset)


async def stands(connection: AsyncConnection, held: Claim) -> bool:
    """Whether nobody has claimed or moved the partition since: what is held of it is true."""
    row = (
        await connection.execute(
            text(
                f"SELECT log_id, epoch, next FROM {held.schema}.partition"
                " WHERE partition = :partition"
            ),
            {"partition": held.partition},
        )
    ).one()
    return (row.log_id, row.epoch, row.next) == (held.log_id, held.epoch, held.next)


async def confirm(connection: AsyncConnection, held: Claim) -> None:
    """Check, inside a snapshot, that the claim still stands. Raises Fenced."""
    if not await stands(connection, held):
        raise Fenced(f"partition {held.partition} of {held.schema} has another owner")
