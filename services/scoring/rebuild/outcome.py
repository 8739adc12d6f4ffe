"""How what the log says compares with what the database has, and how that is said."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

SHOWN_MAX = 3


@dataclass
class Found:
    """How a table compares: keys with what the database has and what the log says."""

    table: str
    rows: int = 0
    different: int = 0
    first: list[tuple[str, Any, Any]] = field(default_factory=list)

    def note(self, key: str, kept: Any, rebuilt: Any) -> None:
        """A row that is not the same on both sides; None where there is none."""
        self.different += 1
        if len(self.first) < SHOWN_MAX:
            self.first.append((key, kept, rebuilt))


@dataclass(frozen=True)
class Rebuilt:
    """A partition that was built up to an offset, and how its tables compare."""

    partition: int
    offset: int
    tables: list[Found]
    replaced: bool

    @property
    def is_equal(self) -> bool:
        """Whether the database has what the log says."""
        return not any(table.different for table in self.tables)


def said(found: Sequence[Rebuilt]) -> Iterator[str]:
    for one in found:
        rows = sum(table.rows for table in one.tables)
        where = f"Partition {one.partition}, {one.offset:,} records"
        if one.is_equal:
            yield f"{where}: the database has what the log says, in all of {rows:,} rows."
        else:
            yield f"{where}: the database has not what the log says."
            for table in one.tables:
                yield from _differences(table)
        if one.replaced:
            yield f"Partition {one.partition} is replaced: scoring loads it anew."


def _differences(table: Found) -> Iterator[str]:
    if table.different:
        yield f"  scoring.{table.table}: {table.different:,} of {table.rows:,} rows differ"
        for key, kept, rebuilt in table.first:
            yield f"    {key}: kept {_shown(kept)}, by the log {_shown(rebuilt)}"


def _shown(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 200 else text[:200] + " …"
