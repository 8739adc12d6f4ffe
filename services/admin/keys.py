"""`myaku keys`: write keys for those who send events, tokens for those who use the APIs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import database
from shared.access import Access, Key, generate
from shared.access.guard import FRESH_SECONDS
from shared.access.store import revoke_key, save_key, select_keys
from shared.command_settings import CommandSettings
from shared.runtime import UserError, now_ms
from shared.times import iso_time

app = typer.Typer(help="Write keys and tokens.", no_args_is_help=True)

T = TypeVar("T")
CHARACTERS_MAX = 128

DataDirOption = Annotated[
    Path | None,
    typer.Option(help="Where `myaku up` runs; without it MYAKU_DATABASE_URL says whose keys."),
]


@app.command()
def create(
    access: Annotated[
        Access,
        typer.Argument(
            metavar="write|read|act|admin",
            help="write: may send events. read, act, admin: may use the APIs so far.",
        ),
    ],
    name: Annotated[str, typer.Option(help="Whose it is, or what it is for.")] = "",
    source: Annotated[
        str, typer.Option(help="For write: the source of the events, as web-app.")
    ] = "",
    data_dir: DataDirOption = None,
) -> None:
    """Make a key and print it: this once, since only its hash is kept."""
    if (access == "write") != bool(source):
        needed = "needs" if access == "write" else "has no"
        raise UserError(f"A key with the access {access} {needed} --source.")
    for option, text in (("--name", name), ("--source", source)):
        if len(text) > CHARACTERS_MAX or not text.isprintable():
            raise UserError(f"{option} has at most {CHARACTERS_MAX} printable characters.")
    written = generate(access)
    kept = written.kept(name, source or None, now_ms())
    _in_transaction(data_dir, lambda connection: save_key(connection, kept))
    typer.echo(written.text)
    typer.echo(f"Its id is {written.id}. It is not shown again.", err=True)


@app.command("list")
def list_keys(data_dir: DataDirOption = None) -> None:
    """What there is, the oldest first; the keys themselves are not known."""
    table = Table(Column("id", no_wrap=True), "access", "source", "name", "made", "revoked")
    for key in _in_transaction(data_dir, select_keys):
        table.add_row(*map(Text, _row(key)))  # a name is no markup
    Console().print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `myaku keys list` shows it.")],
    data_dir: DataDirOption = None,
) -> None:
    """End a key. Two may be in use at once: make the new one, use it, then revoke the old."""
    found = _in_transaction(data_dir, lambda connection: revoke_key(connection, key_id, now_ms()))
    if not found:
        raise UserError(f"There is no key {key_id!r}: see `myaku keys list`.")
    typer.echo(f"Revoked; it is refused within {FRESH_SECONDS:.0f} seconds.")


def _row(key: Key) -> tuple[str, ...]:
    revoked = "" if key.revoked_ms is None else iso_time(key.revoked_ms)
    return key.id, key.access, key.source or "", key.name, iso_time(key.created_ms), revoked


def _in_transaction(data_dir: Path | None, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    settings = CommandSettings.of(data_dir, "MYAKU_DATABASE_URL")
    return asyncio.run(_work(settings.database_url.get_secret_value(), work))


async def _work(url: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    engine = database.create(url, connections=1, application="myaku-keys")
    try:
        await database.check(engine, url)
        async with database.transaction(engine) as connection:
            return await work(connection)
    except database.LOST as error:
        raise database.unavailable(url, error) from error
    finally:
        await engine.dispose()
