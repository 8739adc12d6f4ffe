"""One broker of Apache Kafka on loopback, for tests: no Docker, only Java 17 and Maven.

`python -m tests.apache_kafka` prints its address and keeps it until Ctrl-C or the end of standard
input. The jars are fetched once, into the user's cache.
"""

import asyncio
import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.standalone.broker import until_answers
from services.standalone.keeper import Kept, Leash
from services.standalone.ports import free_port

VERSION = "4.4.0"
CACHE = Path.home() / ".cache" / "myaku" / f"kafka-{VERSION}"
FETCH_SECONDS = 300
JAVA = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
"""It lives for minutes only: what it would spend on optimising itself never comes back."""

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>myaku</groupId><artifactId>apache-kafka</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""

PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={directory}/log
offsets.topic.replication.factor=1
offsets.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


class Unavailable(Exception):
    """Apache Kafka cannot be had here; the text says why."""


def fetch() -> str:
    """The class path of Apache Kafka's jars, fetched where they are missing. Raises Unavailable."""
    libraries = CACHE / "lib"
    if java_version() < 17:
        raise Unavailable("Apache Kafka needs Java 17 or newer, which is not installed")
    if not libraries.exists():
        if not shutil.which("mvn"):
            raise Unavailable("Apache Kafka's jars are fetched by Maven, which is not installed")
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE.parent) as directory:
            _fetch_into(Path(directory))
            CACHE.mkdir(exist_ok=True)
            if not libraries.exists():
                (Path(directory) / "lib").rename(libraries)
    return str(libraries / "*")


def java_version() -> int:
    """The major version of `java`; 0 where there is none."""
    try:
        said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r'version "(\d+)', said.stderr)
    return int(found[1]) if found else 0


def _fetch_into(directory: Path) -> None:
    (directory / "pom.xml").write_text(POM)
    goal = ["dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime"]
    try:
        subprocess.run(
            ["mvn", "-q", "-B", *goal],
            cwd=directory,
            capture_output=True,
            text=True,
            check=True,
            timeout=FETCH_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        lines = (error.stdout + error.stderr).strip().splitlines() or ["it does not say why"]
        raise Unavailable(f"Maven cannot fetch Apache Kafka: {lines[0]}") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"Maven did not fetch Apache Kafka in {FETCH_SECONDS} s") from None


class Node:
    """A broker in a directory of its own: what it was told stays there when it is started again."""

    def __init__(self, directory: Path, address: str, properties: str, leash: Leash) -> None:
        """In the properties {port}, {controller_port} and {directory} are filled in."""
        self.address = address
        self.log = directory / "kafka.log"
        self.leash = leash
        self.written = directory / "server.properties"
        port = address.split(":")[1]
        self.written.write_text(
            properties.format(port=port, controller_port=free_port(), directory=directory)
        )
        self.process: Kept

    async def format(self, cluster: str) -> None:
        """Make its empty log, as a part of a cluster. Raises Unavailable."""
        class_path = await asyncio.to_thread(fetch)
        await asyncio.to_thread(_format, self.written, class_path, cluster)

    async def start(self, stop_by: signal.Signals = signal.SIGTERM) -> None:
        """Start it; `stop_by` is the signal that will stop it. Raises UserError."""
        command = [*JAVA, "-cp", fetch(), "kafka.Kafka", str(self.written)]
        self.process = await asyncio.to_thread(Kept, command, self.leash, self.log, stop_by=stop_by)
        await until_answers(self.address, self.process)

    async def stop(self) -> None:
        """Stop it, and wait until it is gone."""
        await asyncio.to_thread(self.process.stop)


def log_directory(address: str) -> Path | None:
    """Where a broker that `running` started keeps its partitions; None if it is another one."""
    for written in Path(tempfile.gettempdir()).glob("myaku-kafka-*/server.properties"):
        if f"listeners=PLAINTEXT://{address}," in written.read_text():
            return written.parent / "log"
    return None


def new_cluster() -> str:
    """The id of a cluster."""
    # The tool takes an id that begins with "-" for an option: the first byte is 0.
    return base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


@asynccontextmanager
async def running(leash: Leash, properties: str = PROPERTIES) -> AsyncIterator[str]:
    """Run a broker with an empty log; its address. Raises Unavailable, or UserError."""
    with tempfile.TemporaryDirectory(prefix="myaku-kafka-") as name:
        node = Node(Path(name), f"127.0.0.1:{free_port()}", properties, leash)
        await node.format(new_cluster())
        try:
            await node.start()
            yield node.address
        finally:
            await node.stop()


def _format(properties: Path, class_path: str, cluster: str) -> None:
    tool = [*JAVA, "-cp", class_path, "kafka.tools.StorageTool", "format"]
    subprocess.run(
        [*tool, "-t", cluster, "-c", str(properties)], check=True, stdout=subprocess.DEVNULL
    )


async def main() -> None:
    """Run a broker until a signal comes or standard input ends."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)

    def read_to_end() -> None:
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(told.set)

    async with running(Leash()) as address:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        threading.Thread(target=read_to_end, daemon=True).start()
        await told.wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except Unavailable as why:
        sys.exit(str(why))
