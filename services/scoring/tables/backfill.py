"""`scoring.unread` and `scoring.learned`: signals that wait for the kept log, and what it says."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from services.scoring.engine.backfill.piece import Piece
from services.scoring.engine.effects import Effects
from services.scoring.engine.state import State
from services.scoring.tables.partition import Columns, Reader, Writer, columns_of

_decode = msgspec.msgpack.Decoder(Piece).decode
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True)
class BackfillRows:
    """What a step changed; None is what did not."""

    unread: Columns | None
    taken_in: list[str]


def rows(state: State, effects: Effects) -> BackfillRows:
    """What the step has to write."""
    unread = columns_of(state.unread.items()) if effects.plan_changed else None
    return BackfillRows(unread, effects.backfills)


async def save(writer: Writer, rows: BackfillRows, log_id: str) -> None:
    """Note which signals wait; what was taken in, or came too late, goes."""
    if rows.unread is not None:
        await writer.run(
            "DELETE FROM scoring.unread WHERE partition = $1 AND NOT signal_no = ANY($2::int[])",
            rows.unread[0] if rows.unread else [],
        )
        if rows.unread:
            await writer.run(
                "INSERT INTO scoring.unread (partition, log_id, signal_no, until_offset)"
                " SELECT $1, $2, * FROM unnest($3::int[], $4::bigint[]) ON CONFLICT DO NOTHING",
                log_id,
                *rows.unread,
            )
    if rows.taken_in:
        await writer.run(
            "DELETE FROM scoring.learned WHERE partition = $1 AND backfill = ANY($2::text[])",
            rows.taken_in,
        )


async def load(reader: Reader, state: State, log_id: str) -> None:
    """Which signals wait for this log; those of another have waited for what is gone."""
    for row in await reader.rows("unread", "signal_no, until_offset, log_id"):
        if row.log_id == log_id:
            state.unread[row.signal_no] = row.until_offset


async def load_learned(reader: Reader, state: State, backfills: Iterable[str]) -> None:
    """Bring into memory what was learned."""
    sql = (
        "SELECT piece FROM scoring.learned WHERE partition = $1 AND backfill = $2"
        " ORDER BY signal_no, number"
    )
    for backfill in backfills:
        found = await reader.connection.exec_driver_sql(sql, (reader.partition, backfill))
        state.learned[backfill] = [_decode(zlib.decompress(row.piece)) for row in found]


async def forget_learned(writer: Writer) -> None:
    """Drop what an earlier reading left."""
    await writer.run("DELETE FROM scoring.learned WHERE partition = $1")


async def save_learned(writer: Writer, backfill: str, number: int, piece: Piece) -> None:
    """Keep a piece until its record is read."""
    await writer.run(
        "INSERT INTO scoring.learned (partition, backfill, signal_no, number, piece)"
        " VALUES ($1, $2, $3, $4, $5)",
        backfill,
        piece.signal_no,
        number,
        zlib.compress(_encode(piece), 1),
    )
