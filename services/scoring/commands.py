"""`myaku accounts`, `myaku users`: what a person does to them, as over HTTP."""

import asyncio
import getpass
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from services.scoring.acts import LASTS_DAYS, Acts
from shared import database, kafka
from shared.command_settings import CommandSettings, instant_ms
from shared.events import ACT_CHARACTERS_MAX
from shared.native.event import NAME_CHARACTERS_MAX
from shared.problems import Problem
from shared.runtime import UserError, now_ms

accounts = typer.Typer(help="Override a score; close an account.", no_args_is_help=True)

users = typer.Typer(help="Erase a person.", no_args_is_help=True)

T = TypeVar("T")

AccountId = Annotated[str, typer.Argument(metavar="ID", help="The account.")]
Author = Annotated[str | None, typer.Option(help="Who does it; without it the system's user.")]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        help="Where `myaku up` runs; without it MYAKU_KAFKA and MYAKU_DATABASE_URL say whose."
    ),
]


@accounts.command(epilog=CommandSettings.explain())
def override(
    account_id: AccountId,
    author: Author = None,
    score: Annotated[
        float | None, typer.Option(min=0, max=100, help="The score instead of the computed one.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; shown with the score.")] = "",
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help=f"As 2027-01-31T00:00:00Z; without it after {LASTS_DAYS} days."
        ),
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="End it: the computed score counts.")] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Set an account's score by hand until it expires, or end that."""
    who = _who(author)
    if end:
        if score is not None or reason or expires:
            raise UserError("--end stands alone: it says no score, no reason and no end.")
        _do(data_dir, lambda acts: acts.end_override(account_id, who))
        typer.echo(f"Accepted: the computed score of {account_id} counts again.")
        return
    if score is None:
        raise UserError("Say --score and --reason, or --end.")
    if not math.isfinite(score):
        raise UserError("--score is a number from 0 to 100.")
    given, said, ends_ms = score, _text("--reason", reason), instant_ms("--expires", expires)
    accepted = _do(data_dir, lambda acts: acts.override(account_id, who, given, said, ends_ms))
    ends = accepted["expires_at"]
    typer.echo(f"Accepted: the score of {account_id} is {accepted['score']} until {ends}.")


@accounts.command(epilog=CommandSettings.explain())
def close(
    account_id: AccountId,
    reason: Annotated[str, typer.Option(help="Why.")],
    author: Author = None,
    data_dir: DataDirOption = None,
) -> None:
    """Close an account: it leaves lists, figures and alerts; its history stays."""
    who, said = _who(author), _text("--reason", reason)
    _do(data_dir, lambda acts: acts.close(account_id, who, said))
    typer.echo(f"Accepted: {account_id} is closed.")


@accounts.command(epilog=CommandSettings.explain())
def reopen(account_id: AccountId, data_dir: DataDirOption = None) -> None:
    """Open a closed account again."""
    _do(data_dir, lambda acts: acts.reopen(account_id))
    typer.echo(f"Accepted: {account_id} is open.")


@users.command(epilog=CommandSettings.explain())
def erase(
    user_id: Annotated[str, typer.Argument(metavar="ID", help="The user.")],
    data_dir: DataDirOption = None,
) -> None:
    """Erase a person: what names the user goes, the accounts' numbers stay."""
    if not 1 <= len(user_id) <= NAME_CHARACTERS_MAX:
        raise UserError(f"A user's id has 1 to {NAME_CHARACTERS_MAX} characters.")
    if not CommandSettings.of(data_dir, "MYAKU_KAFKA").secret_key.get_secret_value():
        raise UserError("MYAKU_SECRET_KEY is not set: an erasure is signed with it.")
    time = _do(data_dir, lambda acts: acts.erase(user_id))
    typer.echo(f"Accepted: nothing of up to {time} names {user_id} any more.")


def _who(author: str | None) -> str:
    if author is not None:
        return _text("--author", author)
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container its user often has no name
        raise UserError("Say who does it: --author NAME.") from None


def _text(option: str, text: str) -> str:
    text = text.strip()
    if not 1 <= len(text) <= ACT_CHARACTERS_MAX or not text.isprintable():
        raise UserError(f"{option} has 1 to {ACT_CHARACTERS_MAX} printable characters.")
    return text


def _do(data_dir: Path | None, act: Callable[[Acts], Awaitable[T]]) -> T:
    return asyncio.run(_act(CommandSettings.of(data_dir, "MYAKU_KAFKA"), act))


async def _act(settings: CommandSettings, act: Callable[[Acts], Awaitable[T]]) -> T:
    url, secret_key = (
        settings.database_url.get_secret_value(),
        settings.secret_key.get_secret_value(),
    )
    engine = database.create(url, connections=1, application="myaku-accounts")
    producer = kafka.producer(settings)
    try:
        await database.check(engine, url)
        await kafka.start(producer, settings)
        return await act(Acts(engine, producer, secret_key, now_ms))
    except Problem as problem:
        raise UserError(str(problem.detail)) from problem
    except database.LOST as error:
        raise database.unavailable(url, error) from error
    finally:
        await producer.stop()
        await engine.dispose()
