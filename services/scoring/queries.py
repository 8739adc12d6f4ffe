"""What the API reads: current health, its history, and where the partitions stand."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scoring.engine.calendar import iso_day
from shared.configuration import Configuration, parse
from shared.times import iso_time

PROFILE_FILTERS = ("csm", "size", "stage", "plan")
SUCCESS_FILTERS = ("matrix_stage", "matrix_x", "matrix_y", "onboarding")
FILTERS = (*PROFILE_FILTERS, *SUCCESS_FILTERS)
SORTS = {
    "score": "coalesce(score, 1e9)",
    "-score": "-coalesce(score, -1e9)",
    "change_7d": "coalesce(change_7d, 1e9)",
    "change_28d": "coalesce(change_28d, 1e9)",
    "account_id": "0::float8",
}
"""The worst first, what is unknown last; accounts of equal value by their id.

Only the list by id has an index: docs/decisions/0009 says why.
"""

OPEN = "profile->'closed' IS DISTINCT FROM 'true'"
"""Accounts that are not closed."""


@dataclass(frozen=True)
class Page:
    """Where a list goes on: after the account of this sort value and id."""

    value: float
    account_id: str


async def select_accounts(
    connection: AsyncConnection,
    filters: Mapping[str, Any],
    sort: str,
    after: Page | None,
    limit: int,
) -> Sequence[tuple[float, str, str]]:
    """(sort value, account id, health record as JSON text) of the accounts, in order."""
    conditions, values = conditions_of(filters)
    values["limit"] = limit
    if after is not None:
        columns, places = f'{SORTS[sort]}, account_id COLLATE "C"', ":after_value, :after_id"
        if sort == "account_id":  # as its index has it
            columns, places = 'account_id COLLATE "C"', ":after_id"
        conditions.append(f"({columns}) > ({places})")
        values |= {"after_value": after.value, "after_id": after.account_id}
    rows = await connection.execute(
        text(
            f"SELECT {SORTS[sort]}, account_id, record::text FROM scoring.health h"
            f" WHERE {' AND '.join(conditions)}"
            ' ORDER BY 1, account_id COLLATE "C" LIMIT :limit'
        ),
        values,
    )
    return [(row[0], row[1], row[2]) for row in rows]


def conditions_of(filters: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """What `scoring.health h` must be to be meant, and the values that this needs."""
    conditions = ["true" if "closed" in filters else OPEN]
    values: dict[str, Any] = {}
    for name, wanted in filters.items():
        if name != "closed":
            conditions.append(_condition(name))
            values[name] = _pattern(wanted) if name == "q" else wanted
    return conditions, values


def _condition(name: str) -> str:
    if name == "band":
        return "band = ANY(:band)"
    if name == "q":
        return "(account_id COLLATE \"default\" ILIKE :q OR profile->>'name' ILIKE :q)"
    if name in SUCCESS_FILTERS:
        return (
            "EXISTS (SELECT FROM scoring.success c WHERE c.partition = h.partition"
            f" AND c.account_no = h.account_no AND c.{name} = :{name})"
        )
    return f"profile->>'{name}' = :{name}"


def _pattern(wanted: str) -> str:
    escaped = re.sub(r"([\\%_])", r"\\\1", wanted)
    return f"%{escaped}%"


async def select_bands(connection: AsyncConnection) -> list[str]:
    """The bands of the configuration in effect, the best first; none before there is one."""
    configuration = await select_configuration(connection)
    return list(configuration.scorecards.bands) if configuration else []


async def select_configuration(connection: AsyncConnection) -> Configuration | None:
    """The configuration in effect; None before there is one."""
    record = (
        await connection.execute(
            text("SELECT record FROM scoring.configuration WHERE place = 'active' LIMIT 1")
        )
    ).scalar_one_or_none()
    return None if record is None else _parsed(record)


@lru_cache(maxsize=4)
def _parsed(record: bytes) -> Configuration:
    """Of a record that stays the same for days; while a new one spreads there are two."""
    return parse(msgspec.json.decode(record)["document"])


async def select_account(connection: AsyncConnection, account_id: str) -> str | None:
    """An account's newest health record, as JSON text."""
    return (
        await connection.execute(
            text("SELECT record::text FROM scoring.health WHERE account_id = :account_id"),
            {"account_id": account_id},
        )
    ).scalar_one_or_none()


async def select_place(
    connection: AsyncConnection, account_id: str
) -> tuple[int, int | None] | None:
    """An account's partition and, until that is live, its clock; None for an unknown account."""
    row = (
        await connection.execute(
            text(
                "SELECT p.partition, CASE WHEN p.clock->'clock'->>'live' = 'true' THEN NULL"
                " ELSE (p.clock->'clock'->>'now_ms')::bigint END AS clock_ms"
                " FROM scoring.health h JOIN scoring.partition p ON p.partition = h.partition"
                " WHERE h.account_id = :account_id"
            ),
            {"account_id": account_id},
        )
    ).one_or_none()
    return None if row is None else (row.partition, row.clock_ms)


@dataclass(frozen=True)
class DayHealth:
    """An account's health as known at a day's end."""

    day: str
    score: float | None
    band: str | None
    coverage: float
    stale: bool
    scorecard: str
    revision: str


async def select_history(
    connection: AsyncConnection, account_id: str, first_day: int, last_day: int, limit: int
) -> list[DayHealth]:
    """The first rows of an account's closed days, ascending, both ends included.

    The table has a row where the health differs from the day before; here each day has one. So
    each row stands for a day or more, and `limit` rows are enough.
    """
    rows = (
        await connection.execute(
            text(
                "SELECT h.day, h.score_tenths, h.band, h.coverage_hundredths, h.scorecard,"
                " h.revision, h.stale, ((p.clock->'clock'->>'running_day')::int - 1) AS last_closed"
                " FROM scoring.health a"
                " JOIN scoring.partition p ON p.partition = a.partition"
                " JOIN scoring.history h"
                " ON h.partition = a.partition AND h.account_no = a.account_no"
                " WHERE a.account_id = :account_id AND h.day <= :last_day AND h.day >= coalesce("
                " (SELECT max(day) FROM scoring.history b WHERE b.partition = a.partition"
                " AND b.account_no = a.account_no AND b.day <= :first_day), 0)"
                " ORDER BY h.day LIMIT :limit"
            ),
            {
                "account_id": account_id,
                "first_day": first_day,
                "last_day": last_day,
                "limit": limit,
            },
        )
    ).all()
    days: list[DayHealth] = []
    for at, row in enumerate(rows):
        end = rows[at + 1].day if at + 1 < len(rows) else min(last_day, row.last_closed) + 1
        missing = range(max(row.day, first_day), end)[: limit - len(days)]
        days.extend(_day(row, day) for day in missing)
    return days


def _day(row: Any, day: int) -> DayHealth:
    return DayHealth(
        day=iso_day(day),
        score=None if row.score_tenths is None else row.score_tenths / 10,
        band=row.band,
        coverage=row.coverage_hundredths / 100,
        stale=row.stale,
        scorecard=row.scorecard,
        revision=row.revision,
    )


@dataclass(frozen=True)
class SourceHealth:
    """A source, as all partitions together know it."""

    source: str
    status: str
    newest_event_at: str | None
    expected_every: str | None
    events_24h: int
    rejected_24h: int


async def select_sources(
    connection: AsyncConnection, after: str | None, limit: int
) -> list[SourceHealth]:
    """The sources after a name, in the order of their names.

    Refusals are told to every partition alike, events are counted in one.
    """
    rows = await connection.execute(
        text(
            "WITH here AS (SELECT s.*,"
            " (p.clock->'clock'->>'now_ms')::bigint / 3600000 - 24 AS first"
            " FROM scoring.source s JOIN scoring.partition p USING (partition)"
            ' WHERE CAST(:after AS text) IS NULL OR source COLLATE "C" > :after),'
            " declared AS (SELECT convert_from(record, 'UTF8')::json"
            "->'document'->'product'->'sources' AS sources FROM scoring.configuration"
            " WHERE place = 'active' ORDER BY partition LIMIT 1)"
            " SELECT source, array_agg(DISTINCT status) AS statuses, max(newest_ms) AS newest_ms,"
            " (SELECT sources->source->>'expected_every' FROM declared) AS expected_every,"
            " sum((SELECT coalesce(sum(value::bigint), 0) FROM jsonb_each_text(events)"
            " WHERE key::bigint >= coalesce(first, 0)))::bigint AS events,"
            " max((SELECT coalesce(sum(value::bigint), 0) FROM jsonb_each_text(rejected)"
            " WHERE key::bigint >= coalesce(first, 0)))::bigint AS rejected"
            ' FROM here GROUP BY source ORDER BY source COLLATE "C" LIMIT :limit'
        ),
        {"after": after, "limit": limit},
    )
    return [
        SourceHealth(
            source=row.source,
            status=next(each for each in ("stale", "ok", "quiet") if each in row.statuses),
            newest_event_at=None if row.newest_ms is None else iso_time(row.newest_ms),
            expected_every=row.expected_every,
            events_24h=row.events,
            rejected_24h=row.rejected,
        )
        for row in rows
    ]


async def select_partitions(connection: AsyncConnection) -> list[dict[str, Any]]:
    """Where each partition stands, ascending."""
    rows = await connection.execute(
        text(
            "SELECT p.partition, p.clock->'clock' ->> 'live' AS live, p.counted,"
            " p.duplicates, p.too_old,"
            " (p.clock->'clock'->>'now_ms')::bigint AS now_ms, p.next, p.log_id,"
            " (SELECT count(*) FROM scoring.account a WHERE a.partition = p.partition) AS accounts,"
            " (SELECT count(*) FROM scoring.quarantine q WHERE q.partition = p.partition)"
            " AS quarantined FROM scoring.partition p ORDER BY p.partition"
        )
    )
    return [
        {
            "partition": row.partition,
            "mode": None if row.now_ms is None else "live" if row.live == "true" else "history",
            "clock": None if row.now_ms is None else iso_time(row.now_ms),
            "next": row.next,
            "log_id": row.log_id,
            "accounts": row.accounts,
            "counted": row.counted,
            "duplicates": row.duplicates,
            "too_old": row.too_old,
            "quarantined": row.quarantined,
        }
        for row in rows
    ]
