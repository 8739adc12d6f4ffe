"""Where the database is, as people and providers write it."""

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
