"""The rows of one partition: every statement has the partition as `$1`, and names no other."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

Columns = list[list[Any]]
"""A table's columns without the partition, all of one length; none at all without rows."""


def columns_of(rows: Iterable[Sequence[Any]]) -> Columns:
    """Rows as columns."""
    return [list(column) for column in zip(*rows, strict=True)]


class Writer:
    """Writes rows of a partition."""

    def __init__(self, connection: AsyncConnection, partition: int) -> None:
        self.connection = connection
        self.partition = partition

    async def run(self, sql: str, *values: Any) -> None:
        """Run a statement; $2 … are the values."""
        await self.connection.exec_driver_sql(sql, (self.partition, *values))

    async def rows(self, sql: str, columns: Columns) -> None:
        """Run a statement over `unnest` of the columns, $2 …, if they have rows."""
        if columns:
            await self.run(sql, *columns)


class Reader:
    """Reads rows of a partition."""

    def __init__(self, connection: AsyncConnection, partition: int) -> None:
        self.connection = connection
        self.partition = partition

    async def rows(self, table: str, columns: str, order: str = "1") -> Sequence[Any]:
        """All rows of a table that belong to the partition."""
        sql = f"SELECT {columns} FROM scoring.{table} WHERE partition = $1 ORDER BY {order}"
        return (await self.connection.exec_driver_sql(sql, (self.partition,))).all()
