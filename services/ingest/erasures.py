"""Erased people, as rows: `ingest.erased` names them by keyed hashes alone."""

from collections.abc import Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.accept import Erased
from shared.events import Erasure
from shared.native.erasure import person
from shared.times import time_ms


async def erased_among(
    connection: AsyncConnection, users: Iterable[str], secret_key: str
) -> Erased:
    """When those of the users who were erased were."""
    named = {person(user, secret_key): user for user in users}
    rows = await connection.exec_driver_sql(
        "SELECT person, time FROM ingest.erased WHERE person = ANY($1::bytea[])", (list(named),)
    )
    return Erased({named[row.person]: row.time for row in rows})


async def erase(connection: AsyncConnection, erasures: Sequence[Erasure], secret_key: str) -> None:
    """Forget the memberships of users and what waits for them; the same twice is as once."""
    for erasure in erasures:
        user_id, time = erasure.user_id, erasure.time
        for sql, values in (
            (
                "INSERT INTO ingest.erased AS e (person, time) VALUES ($1, $2)"
                " ON CONFLICT (person) DO UPDATE SET time = greatest(e.time, excluded.time)",
                (person(user_id, secret_key), time),
            ),
            ("DELETE FROM ingest.membership WHERE user_id = $1 AND time <= $2", (user_id, time)),
            (
                "DELETE FROM ingest.parked WHERE user_id = $1 AND received_ms <= $2",
                (user_id, time_ms(time)),
            ),
        ):
            await connection.exec_driver_sql(sql, values)
