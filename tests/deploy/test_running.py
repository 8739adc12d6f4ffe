"""What Compose and Kubernetes start, started here: from the wheel, with their environment alone."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import asyncpg
import httpx2
import pytest

from services.standalone.keeper import Leash
from services.standalone.ports import free_port
from shared.runtime import now_ms
from shared.times import iso_time
from tests import apache_kafka
from tests.conftest import named
from tests.deploy.units import ROOT, Unit, compose, compose_units, data_of, kubernetes_units
from tests.processes import until

SETUP_SECONDS = 60
READY_SECONDS = 60
MAKE_KEY = ["keys", "create", "write", "--source", "web-app"]


@dataclass(frozen=True)
class Place:
    """Where the units run instead: the wheel, its Kafka, its database, files of its own."""

    wheel: Path
    directory: Path
    kafka: str
    config: Path
    extra: dict[str, str]

    def environment(self, unit: Unit) -> dict[str, str]:
        """The unit's own, with this place's addresses and files; and nothing else."""
        moved = {
            name: str(self.directory / Path(value).name) if name.endswith("_FILE") else value
            for name, value in unit.environment.items()
        }
        here = {"MYAKU_KAFKA": self.kafka, "PYTHONPATH": str(self.wheel), "PATH": os.defpath}
        return moved | here | self.extra

    async def start(self, unit: Unit, **ports: int) -> asyncio.subprocess.Process:
        """The unit as a process; what it says goes to a log by its name."""
        program = "from services.cli import main; main()"
        command = [str(self.config) if word == "/config" else word for word in unit.command]
        taken = {f"MYAKU_{name.upper()}": str(port) for name, port in ports.items()}
        with self.log(unit).open("wb") as output:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                program,
                *command,
                env=self.environment(unit) | taken,
                cwd=self.directory,
                stdout=output,
                stderr=output,
            )

    async def do(self, unit: Unit) -> str:
        """Run the unit to its end; what it said."""
        job = await self.start(unit)
        async with asyncio.timeout(SETUP_SECONDS):
            assert await job.wait() == 0, self.log(unit).read_text()
        return self.log(unit).read_text()

    def log(self, unit: Unit) -> Path:
        """What the unit says."""
        return self.directory / f"{unit.name}.log"


async def empty_database(postgres_url: str) -> str:
    """A database without tables."""
    name = f"deploy_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return named(postgres_url, name)


async def prepare(directory: Path, postgres_url: str) -> None:
    """The secrets' files."""
    (directory / "database_url").write_text(await empty_database(postgres_url))
    (directory / "secret_key").write_text(secrets.token_hex(32) + "\n")


def kafka_of_compose() -> str:
    """Compose's settings of Kafka as the image makes properties of them, on addresses of ours."""
    lines = [
        f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={value}"
        for name, value in compose()["services"]["kafka"]["environment"].items()
    ]
    moved = {
        "INTERNAL://:19092": "INTERNAL://127.0.0.1:{port}",
        "INTERNAL://kafka:19092": "INTERNAL://127.0.0.1:{port}",
        "HOST://:9092": f"HOST://127.0.0.1:{(host := free_port())}",
        "HOST://127.0.0.1:9092": f"HOST://127.0.0.1:{host}",
        "localhost:9093": "127.0.0.1:{controller_port}",
        "/var/lib/kafka/data": "{directory}/log",
    }
    text = "\n".join(lines) + "\n"
    for written, here in moved.items():
        assert written in text
        text = text.replace(written, here)
    return text


@asynccontextmanager
async def running(place: Place, unit: Unit) -> AsyncIterator[dict[str, str]]:
    """A service, until it has ended by SIGTERM as it should; its addresses."""
    ports = {f"{unit.name}_port": free_port(), f"{unit.name}_operations_port": free_port()}
    process = await place.start(unit, **ports)
    try:
        http, metrics = (f"http://127.0.0.1:{port}" for port in ports.values())
        yield {"http": http, "metrics": metrics}
        process.terminate()
        async with asyncio.timeout(unit.grace_seconds):
            assert await process.wait() == 0, place.log(unit).read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def answers(client: httpx2.AsyncClient, url: str) -> bool:
    """Whether it answers that all is well."""
    try:
        return (await client.get(url)).status_code == 200
    except httpx2.TransportError:
        return False


async def run_all(place: Place, units: list[Unit]) -> None:
    """Run the setup and all services; each answers where it is asked, and ends when told to."""
    for unit in units:
        if not unit.metrics_port:
            await place.do(unit)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx2.AsyncClient())
        services = {
            unit: await stack.enter_async_context(running(place, unit))
            for unit in units
            if unit.metrics_port
        }
        for unit, at in services.items():
            try:
                await until(partial(answers, client, f"{at['metrics']}/readyz"), READY_SECONDS)
            except AssertionError:
                raise AssertionError(place.log(unit).read_text()) from None
            for path in {"/metrics", *unit.probe_paths}:
                assert await answers(client, at["metrics"] + path), path
            assert await answers(client, f"{at['http']}/openapi.json")
            if unit.name == "ingest":
                key = await place.do(replace(unit, name="key", command=MAKE_KEY))
                await send_event(client, at["http"], key.split()[0])


async def send_event(client: httpx2.AsyncClient, ingest: str, key: str) -> None:
    """Send an event with the key, as a client would."""
    event = {"id": "1", "type": "report.exported", "account_id": "acme", "time": iso_time(now_ms())}
    headers = {"Authorization": f"Bearer {key}"}
    answer = await client.post(f"{ingest}/v1/events", json=event, headers=headers)
    assert answer.json()["accepted"] == 1, answer.text


async def test_what_compose_starts_answers_its_probes(
    wheel: Path, tmp_path: Path, postgres_url: str
) -> None:
    await prepare(tmp_path, postgres_url)
    (config,) = [
        ROOT / volume.split(":")[0] for volume in compose()["services"]["publish"]["volumes"]
    ]
    async with AsyncExitStack() as stack:
        broker = apache_kafka.running(Leash(), kafka_of_compose())
        try:
            address = await stack.enter_async_context(broker)
        except apache_kafka.Unavailable as why:
            pytest.skip(str(why))
        await run_all(Place(wheel, tmp_path, address, config, {}), compose_units())


async def test_what_kubernetes_starts_answers_its_probes(
    wheel: Path, tmp_path: Path, postgres_url: str, tansu_address: str
) -> None:
    await prepare(tmp_path, postgres_url)
    config = tmp_path / "config"
    config.mkdir()
    for name, text in data_of("configuration").items():
        (config / name).write_text(text)
    # One broker, whose groups wait for half of the session's time-out.
    extra = {"MYAKU_KAFKA_REPLICATION_FACTOR": "1", "MYAKU_KAFKA_SESSION_TIMEOUT_MS": "6000"}
    await run_all(Place(wheel, tmp_path, tansu_address, config, extra), kubernetes_units())
