"""The broker and the database of a run, each behind a proxy, restarted at will."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
from sqlalchemy import make_url

from services.standalone import postgres
from services.standalone.broker import find_tansu, until_answers
from services.standalone.keeper import Kept, Leash
from services.standalone.ports import free_port
from shared import database
from tests import apache_kafka
from tests.chaos.proxy import Proxy, proxying
from tests.processes import eventually

NAME = "chaos"
ADVERTISED = "advertised.listeners=PLAINTEXT://127.0.0.1:"


class Postgres:
    """A server on one directory: what was committed is there after each restart."""

    def __init__(self, directory: Path, leash: Leash) -> None:
        self.directory = directory
        self.leash = leash
        self.proxies: dict[str, Proxy] = {}
        self.url = ""
        """For the test itself: not through a proxy."""
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Start it, and let the proxies lead to it."""
        running = postgres.running(self.leash, self.directory / "data", self.directory / "log")
        server = await self._stack.enter_async_context(running)
        address = make_url(server.url)
        self.url = address.set(database=NAME).render_as_string(hide_password=False)
        for proxy in self.proxies.values():
            proxy.upstream = str(Path(str(address.query["host"])) / postgres.SOCKET_NAME)

    async def stop(self, *, at_once: bool = False) -> None:
        """Stop it fast, or immediately: then its next start recovers from a crash."""
        if at_once:
            pid_file = self.directory / "data" / "postmaster.pid"
            os.kill(int(pid_file.read_text().split()[0]), signal.SIGQUIT)
            await eventually(lambda: not pid_file.exists())
        await self._stack.aclose()

    def url_through(self, service: str) -> str:
        """What a service is told."""
        return f"postgresql://postgres@{self.proxies[service].address}/{NAME}?sslmode=disable"

    async def make_database(self) -> None:
        """An empty database with our tables."""
        server = make_url(self.url).set(database="postgres")
        connection = await asyncpg.connect(server.render_as_string(hide_password=False))
        await connection.execute(f"CREATE DATABASE {NAME}")
        await connection.close()
        await database.migrate(self.url)


@asynccontextmanager
async def postgres_running(
    directory: Path, leash: Leash, services: tuple[str, ...]
) -> AsyncIterator[Postgres]:
    """A server with an empty database, and a proxy for each service."""
    async with AsyncExitStack() as stack:
        server = Postgres(directory, leash)
        for service in services:
            server.proxies[service] = await stack.enter_async_context(
                proxying(speaks_postgres=True)
            )
        await server.start()
        stack.push_async_callback(server.stop)
        await server.make_database()
        yield server


class Tansu:
    """The embedded broker. Its log is in memory: it cannot be restarted."""

    keeps_log = False

    def __init__(self, directory: Path, proxy: Proxy, leash: Leash) -> None:
        self.proxy = proxy
        self.leash = leash
        self.log = directory / "broker.log"
        self.process: Kept

    async def start(self) -> None:
        """Start it with an empty log."""
        own = f"127.0.0.1:{free_port()}"
        command = [find_tansu(), "broker", "--silent", "--storage-engine", "memory://tansu/"]
        command += ["--listener-url", f"tcp://{own}"]
        command += ["--advertised-listener-url", f"tcp://{self.proxy.address}"]
        self.process = await asyncio.to_thread(Kept, command, self.leash, self.log)
        await until_answers(own, self.process)
        self.proxy.upstream = own

    async def stop(self) -> None:
        """Stop it: its log is gone."""
        await asyncio.to_thread(self.process.stop)


class ApacheKafka:
    """One broker of Apache Kafka, stopped by SIGKILL: it comes back with its log."""

    keeps_log = True

    def __init__(self, directory: Path, proxy: Proxy, leash: Leash) -> None:
        self.proxy = proxy
        own = f"127.0.0.1:{free_port()}"
        advertised = ADVERTISED + proxy.address.split(":")[1]
        properties = apache_kafka.PROPERTIES.replace(ADVERTISED + "{port}", advertised)
        self.node = apache_kafka.Node(directory, own, properties, leash)
        self._is_formatted = False

    async def start(self) -> None:
        """Start it, the first time with an empty log. Raises Unavailable."""
        if not self._is_formatted:
            await self.node.format(apache_kafka.new_cluster())
            self._is_formatted = True
        await self.node.start(signal.SIGKILL)
        self.proxy.upstream = self.node.address

    async def stop(self) -> None:
        """Kill it."""
        await self.node.stop()


Broker = Tansu | ApacheKafka
BROKERS: dict[str, type[Broker]] = {"tansu": Tansu, "apache-kafka": ApacheKafka}


@asynccontextmanager
async def broker_running(name: str, leash: Leash) -> AsyncIterator[Broker]:
    """A broker with an empty log that tells its clients to come through the proxy."""
    with tempfile.TemporaryDirectory(prefix="myaku-chaos-") as directory:
        async with proxying() as proxy:
            broker = BROKERS[name](Path(directory), proxy, leash)
            await broker.start()
            try:
                yield broker
            finally:
                await broker.stop()
