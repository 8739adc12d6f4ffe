"""The database's rows beside those of the shadow, table by table, in the memory of a few rows."""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scoring.rebuild.kept_rows import PUBLISHED, STANDING, STATE, Signals, Table
from services.scoring.rebuild.outcome import Found


async def compare(
    partition: int, kept: AsyncConnection, rebuilt: AsyncConnection
) -> AsyncIterator[Found]:
    """Each table of a partition, as two snapshots have it that stand at the same record."""
    live, day = await _clock(kept, partition)
    for name, table in (STATE | (STANDING if live else PUBLISHED)).items():
        found = Found(name)
        await _compare(
            found, _rows(kept, table, partition, day), _rows(rebuilt, table, partition, day)
        )
        yield found


async def _clock(connection: AsyncConnection, partition: int) -> tuple[bool, int]:
    sql = (
        "SELECT coalesce((clock->'clock'->>'live')::boolean, false) AS live,"
        " coalesce((clock->'clock'->>'running_day')::int, 0) AS day"
        " FROM scoring.partition WHERE partition = :partition"
    )
    row = (await connection.execute(text(sql), {"partition": partition})).one()
    return row.live, row.day


Rows = AsyncIterator[tuple[str, Any]]


async def _rows(connection: AsyncConnection, table: Table, partition: int, day: int) -> Rows:
    known = await connection.execute(
        text("SELECT signal_no, definition FROM scoring.signal WHERE partition = :partition"),
        {"partition": partition},
    )
    signals: Signals = {row.signal_no: row.definition for row in known}
    sql = (
        f'SELECT ({table.key}) COLLATE "C" AS row_key, {table.values} FROM {table.rows}'
        " WHERE partition = :partition ORDER BY 1"
    )
    async for row in await connection.stream(text(sql), {"partition": partition}):
        value = table.of(row, day, signals)
        if value is not None:
            yield row.row_key, value


async def _compare(found: Found, kept: Rows, rebuilt: Rows) -> None:
    left, right = await anext(kept, None), await anext(rebuilt, None)
    while left or right:
        found.rows += 1
        if right is None or (left and left[0] < right[0]):
            assert left
            found.note(*left, None)
            left = await anext(kept, None)
        elif left is None or right[0] < left[0]:
            found.note(right[0], None, right[1])
            right = await anext(rebuilt, None)
        else:
            if left[1] != right[1]:
                found.note(*left, right[1])
            left, right = await anext(kept, None), await anext(rebuilt, None)
