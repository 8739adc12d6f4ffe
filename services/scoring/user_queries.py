"""What the API reads of users: their ranks, and how engaged they are by the closed days."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scoring.engine.calendar import iso_day
from services.scoring.engine.compile import compile_plan
from services.scoring.engine.plan import Plan
from services.scoring.engine.users.ranks import Standing, standing
from services.scoring.tables.users import unpack
from shared.configuration import RANKS
from shared.events import Config, decode_control

UNRANKED = len(RANKS)
"""Who has none comes behind all ranks."""
PLACE = f'coalesce(u.rank, {UNRANKED}), u.user_id COLLATE "C"'
COLUMNS = (
    "u.partition, a.account_id, u.user_id, u.last_day, u.at_day, u.bits, u.rank"
    " FROM scoring.account_user u"
    " JOIN scoring.account a ON a.partition = u.partition AND a.account_no = u.account_no"
)


class Membership(msgspec.Struct, frozen=True):
    """A user in an account. Score, rate and points are None where nobody is ranked."""

    account_id: str
    user_id: str
    rank: str | None
    score: float | None
    usage_rate: float | None
    last_active_on: str
    points: dict[str, float]


async def select_users(
    connection: AsyncConnection,
    account_id: str,
    rank: str | None,
    after: tuple[int, str] | None,
    limit: int,
) -> list[Membership]:
    """The first users of an account behind a place; the best rank first, then by their ids."""
    conditions = ["h.account_id = :account_id", "u.user_id IS NOT NULL"]
    values: dict[str, Any] = {"account_id": account_id, "limit": limit}
    if rank is not None:
        conditions.append("u.rank = :rank")
        values["rank"] = RANKS.index(rank)
    if after is not None:
        conditions.append(f"({PLACE}) > (:after_rank, :after_id)")
        values |= {"after_rank": after[0], "after_id": after[1]}
    rows = await connection.execute(
        text(
            f"SELECT {COLUMNS} JOIN scoring.health h"
            " ON h.partition = u.partition AND h.account_no = u.account_no"
            f" WHERE {' AND '.join(conditions)} ORDER BY {PLACE} LIMIT :limit"
        ),
        values,
    )
    return await _memberships(connection, rows.all())


async def select_memberships(
    connection: AsyncConnection, user_id: str, after: str | None, limit: int
) -> list[Membership]:
    """The first of a user's accounts behind an account, by their ids."""
    rows = await connection.execute(
        text(
            f"SELECT {COLUMNS} WHERE u.user_id = :user_id"
            ' AND (CAST(:after AS text) IS NULL OR a.account_id COLLATE "C" > :after)'
            ' ORDER BY a.account_id COLLATE "C" LIMIT :limit'
        ),
        {"user_id": user_id, "after": after, "limit": limit},
    )
    return await _memberships(connection, rows.all())


def place(member: Membership) -> tuple[int, str]:
    """Where a user stands in the list of an account: as PLACE has it."""
    return UNRANKED if member.rank is None else RANKS.index(member.rank), member.user_id


async def _memberships(connection: AsyncConnection, rows: Sequence[Any]) -> list[Membership]:
    """The rows with how engaged each is, in their order."""
    found: dict[tuple[str, str], Membership] = {}
    for partition in sorted({row.partition for row in rows}):
        own = [row for row in rows if row.partition == partition]
        for member in _shown(own, await _standing(connection, partition, own)):
            found[member.account_id, member.user_id] = member
    return [found[row.account_id, row.user_id] for row in rows]


async def _standing(
    connection: AsyncConnection, partition: int, rows: Sequence[Any]
) -> tuple[list[str], Standing] | None:
    """What earns points, and how engaged the users of a partition are; None without ranks."""
    where = {"partition": partition}
    row = (
        await connection.execute(
            text(
                "SELECT c.record, (p.clock->'clock'->>'running_day')::int AS running_day"
                " FROM scoring.partition p JOIN scoring.configuration c"
                " ON c.partition = p.partition AND c.place = 'active'"
                " WHERE p.partition = :partition"
            ),
            where,
        )
    ).one()
    plan = _plan(row.record)
    if plan.engagement is None:
        return None
    numbers: dict[str, int] = {
        signal.definition: signal.signal_no
        for signal in await connection.execute(
            text("SELECT definition, signal_no FROM scoring.signal WHERE partition = :partition"),
            where,
        )
    }
    earning = plan.engagement.earning
    signal_nos = [numbers[plan.signals[term.signal].definition] for term in earning]
    at_days = np.array([each.at_day for each in rows])
    days = unpack([each.bits for each in rows], at_days, row.running_day, signal_nos)
    return [term.name for term in earning], standing(plan.engagement, days, row.running_day)


@lru_cache(maxsize=4)
def _plan(record: bytes) -> Plan:
    config = decode_control(record)
    assert isinstance(config, Config)
    return compile_plan(config.document)


def _shown(rows: Sequence[Any], standings: tuple[list[str], Standing] | None) -> list[Membership]:
    return [
        Membership(
            account_id=row.account_id,
            user_id=row.user_id,
            rank=None if row.rank is None else RANKS[row.rank],
            score=None if standings is None else float(standings[1].tenths[at]) / 10,
            usage_rate=None if standings is None else round(float(standings[1].usage_rates[at]), 4),
            last_active_on=iso_day(row.last_day),
            points={}
            if standings is None
            else {
                name: round(float(points[at]), 2)
                for name, points in zip(standings[0], standings[1].points, strict=True)
            },
        )
        for at, row in enumerate(rows)
    ]
