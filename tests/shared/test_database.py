"""Where the database is, as people and providers write it."""

from contextlib import nullcontext

import pytest

from shared import database


@pytest.mark.parametrize(
    ("query", "becomes"),
    [
        ("", {}),
        ("?sslmode=require", {"ssl": "require"}),
        ("?ssl=require", {"ssl": "require"}),
        ("?host=/run/postgresql&sslmode=disable", {"host": "/run/postgresql", "ssl": "disable"}),
    ],
)
async def test_tls_is_asked_for_as_everybody_writes_it(query: str, becomes: dict[str, str]) -> None:
    engine = database.create(f"postgres://ana:secret@db.example.com:5432/myaku{query}")
    assert dict(engine.url.query) == becomes
    assert engine.url.drivername == "postgresql+asyncpg"
    await engine.dispose()


@pytest.mark.parametrize(("revision", "is_old"), [("0003", True), ("9999", False)])
async def test_a_service_does_not_start_on_an_older_schema(
    database_url: str, revision: str, is_old: bool
) -> None:
    """A newer one is that of a release which is being rolled out."""
    engine = database.create(database_url)
    await database.check(engine, database_url)
    async with database.transaction(engine) as connection:
        await connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")
    with pytest.raises(database.DatabaseUnavailable) if is_old else nullcontext() as refused:
        await database.check(engine, database_url)
    if refused:
        assert "older version (0003, not 00" in str(refused.value)
    await engine.dispose()
