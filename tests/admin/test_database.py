"""`myaku db migrate` brings any database to the newest schema, and several at once do no harm."""

import asyncio
import secrets

import asyncpg
import pytest

from shared import database
from shared.runtime import UserError
from tests.admin.commands import myaku
from tests.conftest import named


@pytest.fixture
async def empty_url(postgres_url: str) -> str:
    """A database without any table."""
    name = f"empty_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return named(postgres_url, name)


async def test_it_says_from_what_to_what(empty_url: str) -> None:
    first = await myaku("db", "migrate", MYAKU_DATABASE_URL=empty_url)
    assert first.status == 0, first.error
    assert first.output.startswith("The schema went from nothing to revision 00")
    again = await myaku("db", "migrate", MYAKU_DATABASE_URL=empty_url)
    assert again.status == 0
    assert again.output.endswith(", the newest: nothing to do.\n")


async def test_of_several_at_the_same_time_one_works_and_the_others_wait(empty_url: str) -> None:
    found = await asyncio.gather(*(database.migrate(empty_url) for _ in range(4)))
    newest = found[0][1]
    assert sorted(found, key=str) == [*[(newest, newest)] * 3, (None, newest)]


async def test_whoever_waits_outlasts_the_patience_of_a_service(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(database.WRITER_SETTINGS, "lock_timeout", "100ms")
    monkeypatch.setitem(database.WRITER_SETTINGS, "statement_timeout", "100ms")
    holder = await asyncpg.connect(empty_url)
    await holder.execute("SELECT pg_advisory_lock($1)", database.MIGRATION_LOCK)
    waiting = asyncio.create_task(database.migrate(empty_url))
    done, _ = await asyncio.wait({waiting}, timeout=1)
    assert not done
    await holder.close()
    assert (await waiting)[0] is None


async def test_a_schema_of_a_newer_version_is_left_alone(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    with pytest.raises(UserError, match="revision 9999, which this version of Myaku does not know"):
        await database.migrate(database_url)


async def test_a_database_that_is_not_there_is_said_in_one_sentence() -> None:
    url = "postgresql://myaku:hidden@127.0.0.1:1/myaku"
    said = await myaku("db", "migrate", MYAKU_DATABASE_URL=url)
    assert (said.status, said.output) == (1, "")
    expected = "The database at postgresql://myaku:***@127.0.0.1:1/myaku cannot be used: "
    assert said.error == f"{expected}nothing answers there.\n"
