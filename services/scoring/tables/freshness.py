"""Sources as rows: each one, the accounts that it touches, and what waits for the clock."""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from services.scoring.engine.sources import (
    Gap,
    Source,
    SourceEffects,
    Waiting,
    make_room,
)
from services.scoring.engine.state import State
from services.scoring.tables.partition import Columns, Reader, Writer, columns_of
from shared.events import encode


class _Waiting(msgspec.Struct):
    """What `scoring.source_waiting` holds."""

    waiting: list[Waiting] = []
    gap: Gap | None = None


@dataclass(frozen=True)
class Rows:
    """What a commit writes of a partition's sources; None is what did not change."""

    sources: Columns
    days: Columns
    waiting: str | None


def rows(state: State, effects: SourceEffects) -> Rows:
    """What the step that ended in this state changed."""
    known = [(name, state.sources.known[name]) for name in sorted(effects.sources)]
    sources = [
        (one.number, name, one.newest_ms, one.status, _json(one.events), _json(one.rejected))
        for name, one in known
    ]
    waiting = _Waiting(state.sources.waiting, state.sources.gap)
    return Rows(
        sources=columns_of(sources),
        days=_days(state, effects),
        waiting=_json(waiting) if effects.waiting_changed else None,
    )


def _days(state: State, effects: SourceEffects) -> Columns:
    if not effects.days:
        return []
    slots, accounts = (np.concatenate(part) for part in zip(*effects.days, strict=True))
    cells = np.unique(np.stack([slots, accounts]), axis=1)
    days = state.sources.days[cells[0], cells[1]]
    return [cells[0].tolist(), cells[1].tolist(), days.tolist()]


def _json(value: Any) -> str:
    return encode(value).decode()


async def save(writer: Writer, changed: Rows) -> None:
    """Write what a step changed."""
    await writer.rows(
        "INSERT INTO scoring.source"
        " (partition, source_no, source, newest_ms, status, events, rejected)"
        " SELECT $1, * FROM unnest($2::int[], $3::text[], $4::bigint[], $5::text[],"
        " $6::jsonb[], $7::jsonb[]) ON CONFLICT (partition, source_no) DO UPDATE SET"
        " newest_ms = excluded.newest_ms, status = excluded.status,"
        " events = excluded.events, rejected = excluded.rejected",
        changed.sources,
    )
    await writer.rows(
        "INSERT INTO scoring.source_day (partition, slot, account_no, day)"
        " SELECT $1, * FROM unnest($2::int[], $3::int[], $4::int[])"
        " ON CONFLICT (partition, slot, account_no) DO UPDATE SET day = excluded.day",
        changed.days,
    )
    if changed.waiting is not None:
        await writer.run(
            "INSERT INTO scoring.source_waiting (partition, record) VALUES ($1, $2)"
            " ON CONFLICT (partition) DO UPDATE SET record = excluded.record",
            changed.waiting,
        )


async def forget(writer: Writer, oldest_day: int) -> None:
    """Drop days that left the horizon."""
    await writer.run("DELETE FROM scoring.source_day WHERE partition = $1 AND day < $2", oldest_day)


async def load(reader: Reader, state: State) -> None:
    """Read the partition's sources."""
    sources = state.sources
    for row in await reader.rows(
        "source",
        "source_no, source, newest_ms, status, events::text, rejected::text",
        "source_no",
    ):
        sources.known[row.source] = Source(
            row.source_no,
            row.newest_ms,
            row.status,
            msgspec.json.decode(row.events, type=dict[int, int]),
            msgspec.json.decode(row.rejected, type=dict[int, int]),
        )
    for row in await reader.rows("source_waiting", "record::text"):
        kept = msgspec.json.decode(row.record, type=_Waiting)
        sources.waiting, sources.gap = kept.waiting, kept.gap
    found = await reader.rows("source_day", "slot, account_no, day")
    if found:
        slots, accounts, days = (np.array(column) for column in zip(*found, strict=True))
        make_room(sources, int(slots.max()) + 1, int(accounts.max()) + 1)
        sources.days[slots, accounts] = days
