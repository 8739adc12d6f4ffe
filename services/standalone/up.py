"""`myaku up`: the broker, the database and all services, in order; and back again."""

import asyncio
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from services.standalone import broker, checks, keys, ports, postgres, supervisor
from services.standalone.drain import drain
from services.standalone.installation import Installation
from shared import database, topics
from shared.configuration import revision
from shared.configuration.files import SHIPPED, read_document
from shared.configuration.secrets import missing_secrets
from shared.data_dir import DEFAULT, DataDir, UpFile
from shared.in_force import followed
from shared.log_identity import begin_anew
from shared.runtime import LOOPBACK, UserError
from shared.settings import Settings

SERVICES = ("ingest", "scoring", "alerts")
HOST_AND_PORT = r"^[^\s,]+:\d{1,5}(,[^\s,]+:\d{1,5})*$"
DRAIN_SECONDS = 25
START_AGAIN_SECONDS = 20
"""How much longer the drain may take when a service has to be started again for it."""
POLL_SECONDS = 0.1
EMBEDDED_SESSION_MS = 6_000
"""The embedded broker lets the first member of a group wait for half of its session timeout."""
EARLIER_RUN_SECONDS = 30
"""How long what an earlier run left behind may take to end: a service's grace, and a little."""


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    data_dir: Path = DEFAULT
    config: Path = SHIPPED
    clock: Literal["wall", "events"] = "wall"
    kafka: str | None = None
    database: str | None = None
    partitions: int = 4
    deliver_history: bool = False
    ports_from: int | None = None


@asynccontextmanager
async def running(options: Options, console: Console) -> AsyncIterator[Installation]:
    """Run everything, ready to be used; at the end, drain and stop it. Raises UserError."""
    document = read_document(options.config)
    data_dir = DataDir(options.data_dir)
    async with AsyncExitStack() as stack:
        stack.callback(os.close, data_dir.take())
        chosen = await _choose_ports(options, data_dir)
        data_dir.remove_up_file()
        stack.callback(data_dir.remove_up_file)
        installation = Installation(data_dir, console)
        for line in missing_secrets(document, os.environ):
            installation.say(line)
        stack.callback(installation.leash.let_go)
        with console.status("Starting the database and the broker …"):
            database_url = await _start_database(stack, installation, options)
            address = await _start_broker(stack, installation, options)
            settings = _settings(options, data_dir, address, database_url, chosen)
            await _prepare(options, settings, document, installation.say)
        installation.up_file = _up_file(options, settings, chosen)
        with console.status("Starting the services …"):
            await _start_services(stack, installation)
        installation.write_up_file()
        try:
            yield installation
        except asyncio.CancelledError:
            installation.say("Counting what was sent; Ctrl-C again stops at once …")
            raise
        finally:
            await _finish(installation, settings)


async def _prepare(
    options: Options, settings: Settings, document: dict[str, Any], say: Callable[[str], None]
) -> None:
    """The tables, the topics and the configuration, as the services expect them."""
    database_url = settings.database_url.get_secret_value()
    await database.migrate(database_url)
    if options.clock == "events":
        await checks.refuse_live(database_url)
    before = await followed(database_url)
    before.refuse_other_zone(document)
    if before.configurations and not before.is_in_force(revision(document)):
        say(
            f"Another configuration was in force: from now on it is that of {options.config};"
            " name another directory with --config."
        )
    await keys.make(settings)
    log_id = await topics.create_log(
        settings,
        partitions=options.partitions,
        log_id=secrets.token_hex(8),
        source_partitions=options.partitions,
    )
    if not options.kafka:  # the embedded broker's log ends with it
        await _begin_anew(database_url, log_id)
    await topics.publish_configuration(settings, document)


async def _begin_anew(database_url: str, log_id: str) -> None:
    engine = database.create(database_url, connections=1)
    try:
        await begin_anew(engine, log_id)
    finally:
        await engine.dispose()


async def _choose_ports(options: Options, data_dir: DataDir) -> ports.Ports:
    """The ports; services that an earlier run left behind get time to end."""
    left_behind = data_dir.read() is not None
    for _ in range(int(EARLIER_RUN_SECONDS / POLL_SECONDS) if left_behind else 0):
        try:
            return ports.choose(options.ports_from)
        except UserError:
            await asyncio.sleep(POLL_SECONDS)
    return ports.choose(options.ports_from)


async def _start_database(
    stack: AsyncExitStack, installation: Installation, options: Options
) -> str:
    if options.database:
        try:
            make_url(options.database)
        except ArgumentError:
            raise UserError(
                "--database does not name a database: it is a URL like"
                " postgresql://user:password@host:5432/name."
            ) from None
        return options.database
    data_dir = installation.data_dir
    server = await stack.enter_async_context(
        postgres.running(installation.leash, data_dir.postgres, data_dir.log("postgres"))
    )
    installation.embedded["database"] = server.process
    return server.url


async def _start_broker(stack: AsyncExitStack, installation: Installation, options: Options) -> str:
    if options.kafka:
        if not re.match(HOST_AND_PORT, options.kafka):
            raise UserError("--kafka does not name a broker: write host:port,host:port.")
        return options.kafka
    server = await stack.enter_async_context(
        broker.running(installation.leash, installation.data_dir.log("broker"))
    )
    installation.embedded["broker"] = server.process
    return server.address


def _settings(
    options: Options, data_dir: DataDir, address: str, database_url: str, chosen: ports.Ports
) -> Settings:
    """What the services will read: the environment is how we tell them."""
    if not {"MYAKU_SECRET_KEY", "MYAKU_SECRET_KEY_FILE"} & os.environ.keys():
        os.environ["MYAKU_SECRET_KEY_FILE"] = str(data_dir.secret_key_file())
    if not options.kafka:
        os.environ.setdefault("MYAKU_KAFKA_SESSION_TIMEOUT_MS", str(EMBEDDED_SESSION_MS))
    os.environ |= chosen.environment() | {
        "MYAKU_KAFKA": address,
        "MYAKU_DATABASE_URL": database_url,
        "MYAKU_CLOCK": options.clock,
        "MYAKU_DELIVER_HISTORY": str(options.deliver_history).lower(),
    }
    return Settings.read()


def _up_file(options: Options, settings: Settings, chosen: ports.Ports) -> UpFile:
    secret_key = settings.secret_key.get_secret_value()
    return UpFile(
        kafka=settings.kafka,
        database_url=settings.database_url.get_secret_value(),
        ingest=f"http://{LOOPBACK}:{chosen.api['ingest']}",
        scoring=f"http://{LOOPBACK}:{chosen.api['scoring']}",
        alerts=f"http://{LOOPBACK}:{chosen.api['alerts']}",
        operations={name: f"http://{LOOPBACK}:{port}" for name, port in chosen.operations.items()},
        config=str(options.config.absolute()),
        clock=options.clock,
        write_key=keys.write_key(secret_key).text,
        token=keys.token(secret_key).text,
        secret_key=secret_key,
        pids={},
    )


async def _start_services(stack: AsyncExitStack, installation: Installation) -> None:
    """Start them all, and wait until each is ready. They are stopped in the order of SERVICES."""
    loop = asyncio.get_running_loop()
    for name in reversed(SERVICES):
        service = supervisor.service(name, installation.leash, installation.data_dir.log(name))
        stack.push_async_callback(service.stop)
        service.start(loop.time())
        installation.services.append(service)
    await installation.until_ready()


async def _finish(installation: Installation, settings: Settings) -> None:
    """Count all that was sent, with every service. Raises UserError where that fails."""
    installation.check_embedded()
    seconds = DRAIN_SECONDS + START_AGAIN_SECONDS * installation.start_again()

    async def count() -> None:
        if not await drain(settings, installation.up_file, seconds):
            raise UserError(f"Not all could be scored within {seconds} s: {installation.loss}.")

    try:
        await installation.while_watched(count())
    except asyncio.CancelledError:
        raise UserError(f"Stopped at once: {installation.loss}.") from None
