"""`myaku rejected`, in words."""

import asyncio
import json
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from services.admin.rejected import show as showing
from services.admin.rejected.entry import Entry, Filters
from services.admin.rejected.reading import (
    TABLES,
    all_put_aside,
    all_refused,
    find,
    reading,
    span_of,
)
from services.admin.rejected.replay import Outcome, Plan, Replay
from shared import database, kafka
from shared.command_settings import CommandSettings, instant_ms
from shared.runtime import UserError

app = typer.Typer(
    help="What was refused or put aside: list it, look at it, send it again.", no_args_is_help=True
)

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        help="Where `myaku up` runs; without it MYAKU_KAFKA and MYAKU_DATABASE_URL say whose."
    ),
]
Reasons = Annotated[
    list[str] | None, typer.Option("--reason", help="As unknown_account; several times if need be.")
]
Source = Annotated[str | None, typer.Option(help="The source of the events, as web-app.")]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Refused then or later, as 2027-01-31T00:00:00Z.")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Refused before.")]
Account = Annotated[str | None, typer.Option("--account", help="Of an account.")]
EventId = Annotated[str | None, typer.Option("--id", help="Of an event's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command("list", epilog=CommandSettings.explain())
def list_entries(
    reason: Reasons = None,
    source: Source = None,
    since: Since = None,
    until: Until = None,
    account: Account = None,
    event_id: EventId = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many of each place.")] = 20,
    as_json: AsJson = False,
    data_dir: DataDirOption = None,
) -> None:
    """How much was refused or put aside, by reason, and the newest of it."""
    filters = _filters(reason, source, since, until, account, event_id)

    async def work(settings: CommandSettings, engine: AsyncEngine) -> None:
        counts: Counter[str] = Counter()
        newest: dict[str, deque[Entry]] = {}
        async for entry in _everything(settings, engine):
            if filters.match(entry):
                counts[entry.reason] += 1
                newest.setdefault(entry.kept_in, deque(maxlen=limit)).append(entry)
        entries = [entry for kept in newest.values() for entry in kept]
        if as_json:
            shown = [showing.as_data(entry, complete=False) for entry in entries]
            typer.echo(json.dumps({"counts": counts, "entries": shown}, indent=2))
        else:
            showing.listing(entries, counts, Console())

    _run(data_dir, work)


@app.command(epilog=CommandSettings.explain())
def show(
    position: Annotated[str, typer.Argument(help="As `myaku rejected list` shows it.")],
    raw: Annotated[
        Path | None, typer.Option(help="Write the bytes into this file; - is standard output.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDirOption = None,
) -> None:
    """One of them whole: where it stood, why it was refused, its headers and its bytes."""

    async def work(settings: CommandSettings, engine: AsyncEngine) -> None:
        for entry in await find(settings, engine, position):
            if raw is not None:
                _write(raw, entry.value or b"")
            elif as_json:
                typer.echo(json.dumps(showing.as_data(entry, complete=True), indent=2))
            else:
                typer.echo(showing.whole(entry))

    _run(data_dir, work)


@app.command(epilog=CommandSettings.explain())
def replay(
    reason: Reasons = None,
    source: Source = None,
    since: Since = None,
    until: Until = None,
    account: Account = None,
    event_id: EventId = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for what comes of it.")] = 30,
    data_dir: DataDirOption = None,
) -> None:
    """Send them again under their ids: what was counted before is not counted twice."""
    filters = _filters(reason, source, since, until, account, event_id)

    async def work(settings: CommandSettings, engine: AsyncEngine) -> None:
        if not settings.secret_key.get_secret_value():
            raise UserError("MYAKU_SECRET_KEY is not set: by it erased users are known.")
        replaying = Replay(settings, engine, filters)
        plan = await replaying.plan()
        _tell(plan)
        if not plan.sends or dry_run or not (yes or typer.confirm("Send them again?")):
            return
        newest = await replaying.send(plan)
        _answer(await replaying.outcome(plan, newest, wait))

    _run(data_dir, work)


def _tell(plan: Plan) -> None:
    sends = plan.sends.total()
    told = f": {showing.safe(showing.counts_of(plan.sends))}." if sends else "."
    typer.echo(f"To be sent again: {sends:,}{told}")
    for why, count in plan.leaves.most_common():
        typer.echo(f"Left out: {count:,}, each of which {showing.safe(why)}.")


def _answer(outcome: Outcome) -> None:
    if not outcome.handled:
        typer.echo(f"Sent {outcome.sent:,}. Ingest has not handled them all yet: is it running?")
    else:
        gone_on = outcome.sent - outcome.refused.total()
        typer.echo(
            f"Sent {outcome.sent:,}: {gone_on:,} went on, or wait for their account; each counts"
            " once, also if it was counted before."
        )
    if outcome.refused:
        told = showing.safe(showing.counts_of(outcome.refused))
        typer.echo(f"Refused again: {outcome.refused.total():,}: {told}.")


def _filters(
    reason: list[str] | None,
    source: str | None,
    since: str | None,
    until: str | None,
    account: str | None,
    event_id: str | None,
) -> Filters:
    began, ended = instant_ms("--since", since), instant_ms("--until", until)
    return Filters(tuple(reason or ()), source, began, ended, account, event_id)


def _write(path: Path, value: bytes) -> None:
    if str(path) == "-":
        sys.stdout.buffer.write(value)
        return
    try:
        path.write_bytes(value)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from None


async def _everything(settings: CommandSettings, engine: AsyncEngine) -> AsyncIterator[Entry]:
    async with reading(settings) as consumer:
        async for entry in all_refused(consumer, await span_of(consumer)):
            yield entry
    for kept_in in TABLES:
        async for entry in all_put_aside(engine, kept_in):
            yield entry


def _run(
    data_dir: Path | None, work: Callable[[CommandSettings, AsyncEngine], Awaitable[None]]
) -> None:
    asyncio.run(_work(CommandSettings.of(data_dir, "MYAKU_KAFKA"), work))


async def _work(
    settings: CommandSettings, work: Callable[[CommandSettings, AsyncEngine], Awaitable[None]]
) -> None:
    url = settings.database_url.get_secret_value()
    engine = database.create(url, connections=1, application="myaku-rejected")
    try:
        await database.check(engine, url)
        await work(settings, engine)
    except KafkaError as error:
        raise kafka.BrokerUnavailable(
            f"The broker at {settings.kafka} does not take it: {error!r}."
        ) from error
    except database.LOST as error:
        raise database.unavailable(url, error) from error
    finally:
        await engine.dispose()
