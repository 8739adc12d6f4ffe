"""The three services as an operator runs them: processes of their own, each stopped at will."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from services.standalone import ports
from services.standalone.keeper import Leash
from shared import topics
from shared.settings import Settings
from tests.conftest import SECRET_KEY, settings_for
from tests.driven_clock import DrivenClock
from tests.processes import until

SERVICES = ("ingest", "scoring", "alerts")
READY_SECONDS = 60


class Deployment:
    """The services of one log and one database, on a clock that the test moves."""

    def __init__(
        self, settings: Settings, clock: DrivenClock, directory: Path, secrets: dict[str, str]
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.directory = directory
        self.chosen = ports.choose(0)
        self.leash = Leash()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **self.chosen.environment(),
            **clock.environment,
            **secrets,
            "MYAKU_KAFKA": settings.kafka,
            "MYAKU_DATABASE_URL": settings.database_url.get_secret_value(),
            "MYAKU_SECRET_KEY": SECRET_KEY,
            "MYAKU_GROUP": settings.group,
            "MYAKU_KAFKA_SESSION_TIMEOUT_MS": str(settings.kafka_session_timeout_ms),
            "MYAKU_PARENT_FD": str(self.leash.read_fd),
        }
        self.client = httpx2.AsyncClient()
        self.database: asyncpg.Connection[Any]
        self.producer: AIOKafkaProducer

    def log(self, service: str) -> Path:
        """What it says."""
        return self.directory / f"{service}.log"

    async def start(self, *services: str) -> None:
        """Start them, and wait until all are ready."""
        self.processes |= {service: self._spawn(service) for service in services}

        async def are_ready() -> bool:
            return all([(await self.ready(service)).get("ready") for service in services])

        await until(are_ready, READY_SECONDS)

    def _spawn(self, service: str) -> "subprocess.Popen[bytes]":
        with self.log(service).open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", f"services.{service}"],
                stdout=output,
                stderr=output,
                env=os.environ | self.environment,
                pass_fds=[self.leash.read_fd],
            )

    def kill(self, *services: str) -> None:
        """End them by SIGKILL."""
        for service in services:
            process = self.processes.pop(service)
            process.send_signal(signal.SIGKILL)
            process.wait()

    async def ready(self, service: str) -> dict[str, Any]:
        """What `/readyz` says; empty without an answer."""
        try:
            answer = await self.client.get(self._operations(service) + "/readyz")
        except httpx2.HTTPError:
            return {}
        said: dict[str, Any] = answer.json()
        return said

    async def metric(self, service: str, name: str) -> list[float]:
        """All values of a metric as Prometheus would get them; empty where the scrape fails."""
        try:
            page = await self.client.get(self._operations(service) + "/metrics")
        except httpx2.HTTPError:
            return []
        return [
            sample.value
            for family in text_string_to_metric_families(page.text)
            for sample in family.samples
            if sample.name == name
        ]

    def _operations(self, service: str) -> str:
        return f"http://127.0.0.1:{self.chosen.operations[service]}"


@asynccontextmanager
async def deployed(
    address: str,
    database_url: str,
    document: dict[str, Any],
    clock: DrivenClock,
    secrets: dict[str, str],
) -> AsyncIterator[Deployment]:
    """A log with its configuration, and all services."""
    settings = settings_for(address, database_url)
    await topics.create_log(settings, partitions=2, log_id="log-1", source_partitions=2)
    await topics.publish_configuration(settings, document)
    deployment = Deployment(settings, clock, clock.file.parent, secrets)
    deployment.producer = AIOKafkaProducer(bootstrap_servers=address, acks="all")
    await deployment.producer.start()
    deployment.database = await asyncpg.connect(database_url)
    try:
        await deployment.start(*SERVICES)
        yield deployment
    finally:
        deployment.kill(*deployment.processes)
        deployment.leash.let_go()
        await deployment.producer.stop()
        await deployment.database.close()
        await deployment.client.aclose()
