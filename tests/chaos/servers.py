"""The broker and the database of a run, each behind a proxy, restarted at will."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
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
from tests.processes import eventually, passes

NAME = "chaos"
LOST_SECONDS = 12
"""Longer than a broker is waited for by the others, which is 9 s."""

PROPERTIES = """process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={directory}/log
min.insync.replicas={copies_min}
offsets.topic.replication.factor={copies}
offsets.topic.min.isr={copies_min}
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={copies_min}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={copies_min}
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


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
    copies = 1

    def __init__(self, directory: Path, proxies: Sequence[Proxy], leash: Leash) -> None:
        (self.proxy,) = proxies
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

    async def restart(self) -> None:
        """It cannot be."""
        raise NotImplementedError


class ApacheKafka:
    """Brokers of Apache Kafka, stopped by SIGKILL: each comes back with its log."""

    keeps_log = True
    copies = 1

    def __init__(self, directory: Path, proxies: Sequence[Proxy], leash: Leash) -> None:
        self.proxies = proxies
        controllers = [free_port() for _ in proxies]
        voters = [f"{number}@127.0.0.1:{port}" for number, port in enumerate(controllers, 1)]
        self.nodes = []
        for number, (proxy, controller) in enumerate(zip(proxies, controllers, strict=True), 1):
            own = directory / str(number)
            own.mkdir()
            properties = PROPERTIES.format(
                number=number,
                controller=controller,
                voters=",".join(voters),
                port="{port}",
                advertised=proxy.address.split(":")[1],
                directory=own,
                copies=self.copies,
                copies_min=max(1, self.copies - 1),
            )
            address = f"127.0.0.1:{free_port()}"
            self.nodes.append(apache_kafka.Node(own, address, properties, leash))
        self.turn = 0

    async def start(self) -> None:
        """Start all of them with an empty log. Raises Unavailable."""
        cluster = apache_kafka.new_cluster()
        for node in self.nodes:
            await node.format(cluster)
        await asyncio.gather(*map(self._start, range(len(self.nodes))))

    async def _start(self, number: int) -> None:
        await self.nodes[number].start(signal.SIGKILL)
        self.proxies[number].upstream = self.nodes[number].address

    async def stop(self) -> None:
        """Kill all of them."""
        await asyncio.gather(*(node.stop() for node in self.nodes))

    async def restart(self) -> None:
        """Kill one, another each time; where there are others they take over meanwhile."""
        number = self.turn % len(self.nodes)
        self.turn += 1
        await self.nodes[number].stop()
        if self.copies > 1:
            await passes(LOST_SECONDS)
        await self._start(number)


class ThreeKafkas(ApacheKafka):
    """Three brokers, each record on all of them: what two have is acknowledged."""

    copies = 3


Broker = Tansu | ApacheKafka
BROKERS: dict[str, type[Broker]] = {
    "tansu": Tansu,
    "apache-kafka": ApacheKafka,
    "three-kafkas": ThreeKafkas,
}


@asynccontextmanager
async def broker_running(name: str, leash: Leash) -> AsyncIterator[tuple[Broker, list[Proxy]]]:
    """A broker with an empty log that tells its clients to come through the proxies."""
    kind = BROKERS[name]
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="myaku-chaos-"))
        proxies = [await stack.enter_async_context(proxying()) for _ in range(kind.copies)]
        broker = kind(Path(directory), proxies, leash)
        await broker.start()
        stack.push_async_callback(broker.stop)
        yield broker, proxies
