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

MEMBERSHIPS_MAX = 500
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


async def select_users(connection: AsyncConnection, account_id: str) -> list[Membership]:
    """The users of an account, those with the highest score first."""
    rows = await connection.execute(
        text(
            f"SELECT {COLUMNS} JOIN scoring.health h"
            " ON h.partition = u.partition AND h.account_no = u.account_no"
            " WHERE h.account_id = :account_id AND u.user_id IS NOT NULL"
        ),
        {"account_id": account_id},
    )
    return sorted(await _memberships(connection, rows.all()), key=place)


async def select_memberships(connection: AsyncConnection, user_id: str) -> list[Membership]:
    """A user's accounts, by their ids; the first of them if there are very many."""
    rows = await connection.execute(
        text(
            f'SELECT {COLUMNS} WHERE u.user_id = :user_id ORDER BY a.account_id COLLATE "C"'
            " LIMIT :limit"
        ),
        {"user_id": user_id, "limit": MEMBERSHIPS_MAX},
    )
    found = await _memberships(connection, rows.all())
    return sorted(found, key=lambda each: each.account_id.encode())


def place(member: Membership) -> tuple[float, bytes]:
    """Where a user stands in the list of an account."""
    return -(member.score or 0.0), member.user_id.encode()


async def _memberships(connection: AsyncConnection, rows: Sequence[Any]) -> list[Membership]:
    found: list[Membership] = []
    for partition in sorted({row.partition for row in rows}):
        own = [row for row in rows if row.partition == partition]
        found += _shown(own, await _standing(connection, partition, own))
    return found


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
