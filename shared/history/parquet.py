"""Rows of a Parquet file as native events."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from shared.runtime import UserError

MAGIC = b"PAR1"
ROWS_AT_ONCE = 10_000
ID = "event_id"
NEEDED = ("id", "type", "time")
FIELDS = ("id", "type", "account_id", "user_id", "time", "source", "properties")


def read(path: Path) -> Iterator[bytes]:
    """Each row as JSON. Raises UserError where the file is damaged or lacks a needed column."""
    try:
        with pq.ParquetFile(path) as file:
            _check(path, file.schema_arrow.names)
            for batch in file.iter_batches(ROWS_AT_ONCE):
                names = [_field(name) for name in batch.schema.names]
                columns = [column.to_pylist() for column in batch.columns]
                for row in zip(*columns, strict=True):
                    yield msgspec.json.encode(_event(dict(zip(names, row, strict=True))))
    except pa.ArrowException as error:
        raise UserError(f"{path} is damaged: {str(error).splitlines()[0]}.") from None


def _field(column: str) -> str:
    return "id" if column == ID else column


def _check(path: Path, columns: list[str]) -> None:
    names = [_field(column) for column in columns]
    missing = [ID if name == "id" else name for name in NEEDED if name not in names]
    if missing:
        raise UserError(f"{path} has no column {' and no column '.join(missing)}.")
    if len(set(names)) < len(names):
        raise UserError(f"{path} has two columns of one name.")


def _event(row: dict[str, Any]) -> dict[str, Any]:
    """The native form: what is null is left out, what is no field of its own is a property."""
    event = {name: row[name] for name in FIELDS if row.get(name) is not None}
    others = {name: value for name, value in row.items() if name not in FIELDS}
    known = {name: value for name, value in others.items() if value is not None}
    if known and isinstance(event.setdefault("properties", {}), dict):
        event["properties"] = event["properties"] | known
    if isinstance(time := event.get("time"), datetime):
        event["time"] = _utc(time)
    return event


def _utc(time: datetime) -> str:
    """Parquet writes instants without a zone as UTC."""
    moment = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
