"""Which signals wait for the kept log, as scoring's tables know it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scoring.engine.compile import compile_plan
from services.scoring.engine.plan import Plan
from services.scoring.engine.state import State
from services.scoring.tables import erased
from services.scoring.tables.partition import Reader
from shared.events import Config, decode_control

WAITING = text(
    "SELECT p.partition, p.log_id, p.first_log_id, p.hash_seed, p.partitions,"
    " u.signal_no, u.until_offset, s.since_day, s.definition, c.record"
    " FROM scoring.unread u JOIN scoring.partition p USING (partition, log_id)"
    " JOIN scoring.signal s USING (partition, signal_no)"
    " JOIN scoring.configuration c ON c.partition = p.partition AND c.place = 'active'"
    " ORDER BY p.partition, u.until_offset, u.signal_no"
)
STILL = text("SELECT partition, signal_no FROM scoring.unread")
PENDING = text("SELECT count(*) FROM scoring.configuration WHERE place = 'next'")


@dataclass(frozen=True)
class WaitingSignal:
    """A signal that is folded from the record at `until_offset` on."""

    signal_no: int
    definition: str
    until_offset: int
    since_day: int  # that ran when the record came


@dataclass(frozen=True)
class WaitingPartition:
    """A partition with signals for which its log is to be read."""

    partition: int
    partitions: int
    log_id: str
    is_first_log: bool  # its first record is the deployment's first
    hash_seed: int
    plan: Plan
    signals: tuple[WaitingSignal, ...]  # by their offsets
    erased: dict[int, list[int]]

    @property
    def metrics(self) -> frozenset[str]:
        """The metrics that read the signals, changes of theirs included."""
        waiting = {signal.definition for signal in self.signals}
        return frozenset(
            column.name
            for column in self.plan.columns
            if column.signal >= 0 and self.plan.signals[column.signal].definition in waiting
        )


async def waiting(connection: AsyncConnection) -> list[WaitingPartition]:
    """The partitions with signals that wait, in one snapshot."""
    by_partition: dict[int, list[Any]] = defaultdict(list)
    for row in await connection.execute(WAITING):
        by_partition[row.partition].append(row)
    return [await _partition(connection, rows) for rows in by_partition.values()]


async def _partition(connection: AsyncConnection, rows: Sequence[Any]) -> WaitingPartition:
    row = rows[0]
    config = decode_control(row.record)
    assert isinstance(config, Config)
    known = State(row.partition, row.hash_seed)
    await erased.load(Reader(connection, row.partition), known)
    return WaitingPartition(
        partition=row.partition,
        partitions=row.partitions,
        log_id=row.log_id,
        is_first_log=row.log_id == row.first_log_id,
        hash_seed=row.hash_seed,
        plan=compile_plan(config.document),
        signals=tuple(
            WaitingSignal(each.signal_no, each.definition, each.until_offset, each.since_day)
            for each in rows
        ),
        erased=known.erased,
    )
