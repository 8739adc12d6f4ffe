"""What was published of each account, and what is noted for its next publication."""

from dataclasses import dataclass

import msgspec
import numpy as np

from services.scoring.engine.effects import Effects
from services.scoring.engine.published import (
    NUMBERS,
    Heading,
    Override,
    PartArray,
    ShareArray,
)
from services.scoring.engine.state import State
from services.scoring.engine.table import IntArray, distinct
from services.scoring.tables.partition import Columns, Reader, Writer, columns_of
from shared.events import encode

SHOWN = ("name", "csm", "size", "stage", "plan", "closed")
"""The profile fields by which accounts are looked up and listed."""


@dataclass(frozen=True)
class PublishedRows:
    """What a step published and noted."""

    headings: Columns
    published: Columns
    health: Columns


def rows(state: State, effects: Effects) -> PublishedRows:
    """What the step that ended in this state has to write."""
    headings = enumerate(state.published.known_headings)
    return PublishedRows(
        headings=columns_of((number, *heading) for number, heading in headings),
        published=_published(state, _noted(state, effects)),
        health=_health(state, effects),
    )


def _noted(state: State, effects: Effects) -> IntArray:
    """The accounts of which something is to be written, ascending."""
    sequences = state.published.sequences
    if effects.plan_changed:
        return np.flatnonzero(sequences[: state.accounts.count])
    noted = distinct(np.concatenate([np.zeros(0, np.int64), *effects.marks]))
    return noted[sequences[noted] > 0]


def _published(state: State, at: IntArray) -> Columns:
    if not len(at):
        return []
    published, accounts = state.published, state.accounts
    gone = [published.gone.get(account) for account in at.tolist()]
    overrides = [published.overrides.get(account) for account in at.tolist()]
    return [
        at.tolist(),
        published.sequences[at].tolist(),
        published.as_of_ms[at].tolist(),
        published.tenths[at].tolist(),
        published.computed[at].tolist(),
        published.coverage[at].tolist(),
        published.headings[at].tolist(),
        published.crossing_days[at].tolist(),
        published.crossing_bands[at].tolist(),
        _packed(published.shares[:, at]),
        _packed(state.time_parts[:, at]),
        [encode(each).decode() if each else None for each in gone],
        [encode(each).decode() if each else None for each in overrides],
        accounts.late[at].tolist(),
        accounts.news[at].tolist(),
        accounts.backfilled[at].tolist(),
    ]


def _packed(parts: PartArray | ShareArray) -> list[bytes]:
    """Each account's column, as little-endian bytes."""
    one = np.ascontiguousarray(parts.T, parts.dtype.newbyteorder("<"))
    size, whole = one.shape[1] * one.itemsize, one.tobytes()
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def _health(state: State, effects: Effects) -> Columns:
    return columns_of(
        (
            account,
            state.accounts.ids[account],
            row.sequence,
            row.score,
            row.band,
            row.change_7d,
            row.change_28d,
            encode({name: row.profile[name] for name in SHOWN if name in row.profile}).decode(),
            row.record.decode(),
        )
        for account, row in sorted(effects.health.items())
    )


async def save(writer: Writer, rows: PublishedRows) -> None:
    """Write what a step published and noted."""
    await writer.rows(
        "INSERT INTO scoring.heading (partition, heading_no, scorecard, revision, band)"
        " SELECT $1, * FROM unnest($2::int[], $3::text[], $4::text[], $5::text[])"
        " ON CONFLICT DO NOTHING",
        rows.headings,
    )
    await writer.rows(
        "INSERT INTO scoring.published (partition, account_no, sequence, as_of_ms, score_tenths,"
        " computed_tenths, coverage_hundredths, heading_no, crossing_day, crossing_band,"
        " shares, time_parts, gone, override, late, news, backfilled)"
        " SELECT $1, * FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::smallint[],"
        " $6::smallint[], $7::smallint[], $8::int[], $9::int[], $10::smallint[], $11::bytea[],"
        " $12::bytea[], $13::json[], $14::json[], $15::boolean[], $16::boolean[], $17::boolean[])"
        " ON CONFLICT (partition, account_no) DO UPDATE SET sequence = excluded.sequence,"
        " as_of_ms = excluded.as_of_ms, score_tenths = excluded.score_tenths,"
        " computed_tenths = excluded.computed_tenths,"
        " coverage_hundredths = excluded.coverage_hundredths, heading_no = excluded.heading_no,"
        " crossing_day = excluded.crossing_day, crossing_band = excluded.crossing_band,"
        " shares = excluded.shares, time_parts = excluded.time_parts, gone = excluded.gone,"
        " override = excluded.override, late = excluded.late, news = excluded.news,"
        " backfilled = excluded.backfilled",
        rows.published,
    )
    await writer.rows(
        "INSERT INTO scoring.health (partition, account_no, account_id, sequence, score, band,"
        " change_7d, change_28d, profile, record)"
        " SELECT $1, * FROM unnest($2::int[], $3::text[], $4::bigint[], $5::float8[],"
        " $6::text[], $7::float8[], $8::float8[], $9::jsonb[], $10::json[])"
        " ON CONFLICT (partition, account_no) DO UPDATE SET sequence = excluded.sequence,"
        " score = excluded.score, band = excluded.band, change_7d = excluded.change_7d,"
        " change_28d = excluded.change_28d, profile = excluded.profile, record = excluded.record",
        rows.health,
    )


async def load(reader: Reader, state: State) -> None:
    """Bring into the state what was published and noted; its accounts are there already."""
    published = state.published
    for row in await reader.rows("heading", "heading_no, scorecard, revision, band"):
        published.heading_number(Heading(*row[1:]))
    found = await reader.rows(
        "published",
        "account_no, sequence, as_of_ms, score_tenths, computed_tenths, coverage_hundredths,"
        " heading_no, crossing_day, crossing_band, late, news, backfilled,"
        " shares, time_parts, gone::text, override::text",
    )
    if not found:
        return
    at, *numbers, late, news, backfilled, shares, time_parts, gone, overrides = zip(
        *found, strict=True
    )
    accounts = np.array(at, np.int64)
    for name, column in zip(NUMBERS, numbers, strict=True):
        getattr(published, name)[accounts] = column
    state.accounts.late[accounts], state.accounts.news[accounts] = late, news
    state.accounts.backfilled[accounts] = backfilled
    published.shares[:, accounts] = _unpacked(shares, "<i2", len(published.shares))
    state.time_parts[:, accounts] = _unpacked(time_parts, "<i4", len(published.shares))
    for account, one_gone, override in zip(at, gone, overrides, strict=True):
        if one_gone is not None:
            published.gone[account] = msgspec.json.decode(one_gone)
        if override is not None:
            published.overrides[account] = msgspec.json.decode(override, type=Override)
    of_records = "account_no, (record->'profile')::text, (record->>'stale')::boolean"
    for account, profile, stale in await reader.rows("health", of_records):
        published.profiles[account] = msgspec.json.decode(profile)
        state.accounts.stale[account] = published.stale[account] = stale


def _unpacked(packed: tuple[bytes, ...], of: str, parts: int) -> PartArray | ShareArray:
    return np.frombuffer(b"".join(packed), of).reshape(len(packed), parts).T


async def newest_records(reader: Reader) -> list[tuple[bytes, bytes]]:
    """The newest record of every account under its key, in the order of the keys."""
    found = await reader.rows("health", "account_id, record::text", 'account_id COLLATE "C"')
    return [(identity.encode(), record.encode()) for identity, record in found]
