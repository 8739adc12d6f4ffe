"""Postgres: the engine, the one transaction of the house, and migrations."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Row, TextClause, event, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.runtime import UserError

WRITER_SETTINGS = {
    "lock_timeout": "5s",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "10s",
    "client_connection_check_interval": "5s",
    "tcp_user_timeout": "15s",
}
"""A stopped worker must not hold a row for ever: its transaction ends by itself."""

TRANSACTION_TIMEOUT = "30s"
"""A transaction of many statements ends too; only PostgreSQL from 17 on knows of this one."""

BY_TRANSACTION = ["transaction_timeout", "idle_in_transaction_session_timeout"]
_SET_WHERE_KNOWN = "SELECT set_config(name, $1, $2) FROM pg_settings WHERE name = ANY($3::text[])"

LOST = (
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)
"""What a database that went away, or refused, raises."""


MIGRATION_LOCK = 0x6D79616B75
"""The advisory lock of whoever changes the schema: `myaku` in ASCII."""

UNMIGRATED = ("3F000", "42P01")
"""SQLSTATEs: no such schema, no such table."""


class DatabaseUnavailable(UserError):
    """The database cannot be reached or used; the text is one sentence that names it."""


def create(
    url: str,
    *,
    connections: int = 10,
    application: str = "myaku",
    patience_seconds: int | None = 30,
) -> AsyncEngine:
    """An engine for `postgresql+asyncpg://…` (or `postgresql://…`). Opens nothing yet.

    `patience_seconds` is how long an answer may take; None is for ever.
    """
    engine = create_async_engine(
        _as_asyncpg_wants(url),
        pool_size=connections,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,  # a fault that is logged names no account and no user
        connect_args={
            "server_settings": {**WRITER_SETTINGS, "application_name": application},
            "command_timeout": patience_seconds,
            "timeout": 10,
        },
    )
    event.listen(engine.sync_engine, "connect", _limit_transactions)
    return engine


def _limit_transactions(connection: Any, record: object) -> None:
    connection.run_async(
        lambda driver: driver.execute(
            _SET_WHERE_KNOWN, TRANSACTION_TIMEOUT, False, BY_TRANSACTION[:1]
        )
    )


def _as_asyncpg_wants(url: str) -> URL:
    """The driver calls `ssl` what everybody else, and every provider, calls `sslmode`."""
    address = make_url(url).set(drivername="postgresql+asyncpg")
    mode = address.query.get("sslmode")
    return address.difference_update_query(["sslmode"]).update_query_dict(
        {"ssl": mode} if mode else {}
    )


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """The only commit in the house. Never held open across a send."""
    async with engine.connect() as connection, connection.begin():
        yield connection


@asynccontextmanager
async def snapshot(
    engine: AsyncEngine, *, unhurried: bool = False
) -> AsyncIterator[AsyncConnection]:
    """All reads inside see one moment: REPEATABLE READ, read only.

    One that is `unhurried` may last, and compute between its reads: it holds no row that anybody
    waits for.
    """
    async with engine.connect() as connection:
        await connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        async with connection.begin():
            if unhurried:
                await take_time(connection)
            yield connection


async def take_time(connection: AsyncConnection) -> None:
    """Let the transaction last: whoever waits for its rows gives up, and tries again."""
    names = [*BY_TRANSACTION, "statement_timeout"]
    await connection.exec_driver_sql(_SET_WHERE_KNOWN, ("0", True, names))


async def ask(url: str, question: TextClause) -> Sequence[Row[Any]]:
    """The rows that answer one question, asked once. Raises DatabaseUnavailable."""
    engine = create(url, connections=1)
    try:
        async with snapshot(engine) as connection:
            return (await connection.execute(question)).all()
    except LOST as error:
        raise unavailable(url, error) from error
    finally:
        await engine.dispose()


async def check(engine: AsyncEngine, url: str) -> None:
    """Try the connection and the schema. Raises DatabaseUnavailable."""
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1 FROM scoring.partition LIMIT 1"))
            found = await connection.run_sync(_revision)
    except LOST as error:
        raise unavailable(url, error) from error
    # A newer one is that of the release which is being rolled out beside this one.
    revisions = [
        script.revision for script in ScriptDirectory.from_config(_scripts()).walk_revisions()
    ]
    if found in revisions[1:]:
        shown = make_url(url).render_as_string(hide_password=True)
        raise DatabaseUnavailable(
            f"The database at {shown} has the schema of an older version ({found}, not"
            f" {revisions[0]}): run `myaku db migrate`."
        )


def _scripts() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def migrate(url: str) -> tuple[str | None, str]:
    """Bring the schema to the newest revision; from which (None: there was none) to which.

    Of several that do it at the same time one works and the others wait for it. Raises UserError.
    """
    config = _scripts()
    engine = create(url, connections=1, application="myaku-migrate", patience_seconds=None)
    try:
        async with transaction(engine) as connection:
            await connection.exec_driver_sql(_SET_WHERE_KNOWN, ("0", True, BY_TRANSACTION[:1]))
            await connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            await connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
            # A table in use is waited for only briefly: whoever came next would wait behind us.
            await connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
            return await connection.run_sync(_upgrade, config)
    except LOST as error:
        raise unavailable(url, error) from error
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, config: Config) -> tuple[str | None, str]:
    found = _revision(connection)
    newest = ScriptDirectory.from_config(config).get_current_head()
    assert newest
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise UserError(
            f"The schema is at revision {found}, which this version of Myaku does not know"
            f" (its newest is {newest}): run the version that made it, or a newer one."
        ) from error
    return found, newest


def unavailable(url: str, error: BaseException) -> DatabaseUnavailable:
    """The sentence for a database that does not answer; the password is left out."""
    shown = make_url(url).render_as_string(hide_password=True)
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    if getattr(cause, "sqlstate", None) in UNMIGRATED:
        return DatabaseUnavailable(
            f"The database at {shown} has no tables of ours: run `myaku db migrate`."
        )
    why = "nothing answers there." if isinstance(cause, OSError) else str(cause)
    return DatabaseUnavailable(f"The database at {shown} cannot be used: {why}".strip())
