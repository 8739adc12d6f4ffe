"""The proxy itself: a COMMIT that is cut before the server has it, or after it did it."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import make_url

from services.standalone.postgres import SOCKET_NAME
from tests.chaos.proxy import Direction, Proxy, proxying
from tests.processes import until


def through(proxy: Proxy, database_url: str) -> str:
    """The URL of the same database behind the proxy."""
    address = make_url(database_url)
    proxy.upstream = f"{address.query['host']}/{SOCKET_NAME}"
    return f"postgresql://postgres@{proxy.address}/{address.database}?sslmode=disable"


@pytest.mark.parametrize(("direction", "is_there"), [("request", False), ("reply", True)])
async def test_nobody_knows_what_became_of_a_commit_that_is_cut(
    direction: Direction, is_there: bool, database_url: str
) -> None:
    async with proxying(speaks_postgres=True) as proxy:
        connection = await asyncpg.connect(through(proxy, database_url))
        await connection.execute("CREATE TABLE kept (n int)")
        proxy.commits_cut[direction] = 1
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            async with connection.transaction():
                await connection.execute("INSERT INTO kept VALUES (1)")
        assert proxy.cuts[direction] == 1

        behind = await asyncpg.connect(database_url)

        async def is_decided() -> bool:
            rows = await behind.fetch("SELECT 1 FROM pg_locks WHERE relation = 'kept'::regclass")
            return not rows

        await until(is_decided)
        assert bool(await behind.fetchval("SELECT count(*) FROM kept")) is is_there
        await behind.close()


async def test_a_link_that_is_silent_in_one_direction_lets_the_other_through(
    database_url: str,
) -> None:
    async with proxying(speaks_postgres=True) as proxy:
        url = through(proxy, database_url)
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept (n int)")
        proxy.block("reply")
        with pytest.raises(TimeoutError):
            await connection.execute("INSERT INTO kept VALUES (1)", timeout=0.5)
        behind = await asyncpg.connect(database_url)
        assert await behind.fetchval("SELECT count(*) FROM kept") == 1
        proxy.block("request")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncpg.connect(url), 0.5)
        proxy.heal()
        again = await asyncpg.connect(url)
        assert await again.fetchval("SELECT count(*) FROM kept") == 1
        proxy.reset()
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await again.execute("SELECT 1")
        connection.terminate()
        await behind.close()
