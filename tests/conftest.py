"""The real parts: a PostgreSQL a session, a database a test, and brokers with empty logs."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy import make_url

from services.standalone import broker, postgres
from services.standalone.keeper import Leash
from shared import database
from shared.events import (
    ENGAGEMENT_CHANGES,
    HEALTH_CHANGES,
    USAGE_ACCEPTED,
    USAGE_EVENTS,
    USAGE_REJECTED,
)
from shared.settings import Settings
from tests import apache_kafka
from tests.shared import spoiled

TOPICS = (USAGE_EVENTS, USAGE_ACCEPTED, USAGE_REJECTED, HEALTH_CHANGES, ENGAGEMENT_CHANGES)
TEMPLATE = "myaku_template"
SECRET_KEY = "a secret key of the tests"
BROKERS = [os.environ["MYAKU_TEST_KAFKA"]] if "MYAKU_TEST_KAFKA" in os.environ else []
BROKERS = BROKERS or ["tansu", "apache-kafka"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A server with a migrated template database."""
    directory = tmp_path_factory.mktemp("postgres")
    async with postgres.running(Leash(), directory / "data", directory / "log") as server:
        connection = await asyncpg.connect(server.url)
        await connection.execute(f"CREATE DATABASE {TEMPLATE}")
        await connection.close()
        await database.migrate(named(server.url, TEMPLATE))
        yield server.url


def named(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)


async def new_database(postgres_url: str) -> str:
    """A fresh, migrated database."""
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    await connection.close()
    return named(postgres_url, name)


@pytest_asyncio.fixture
async def database_url(postgres_url: str) -> str:
    """A fresh, migrated database."""
    return await new_database(postgres_url)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def apache_kafka_address() -> AsyncIterator[str]:
    """One broker of Apache Kafka for the session; skips where it cannot be had."""
    async with AsyncExitStack() as stack:
        try:
            address = await stack.enter_async_context(apache_kafka.running(Leash()))
        except apache_kafka.Unavailable as why:
            pytest.skip(str(why))
        yield address


@pytest.fixture(params=BROKERS)
def broker_name(request: pytest.FixtureRequest) -> str:
    """`tansu`, or the address of a broker that runs for the whole session.

    Not async: pytest starts the session's broker on the session's own loop.
    """
    if request.param == "apache-kafka":
        return str(request.getfixturevalue("apache_kafka_address"))
    return str(request.param)


@pytest_asyncio.fixture
async def kafka_address(broker_name: str, tmp_path: Path) -> AsyncIterator[str]:
    """A broker without our topics: Tansu and Apache Kafka, or what MYAKU_TEST_KAFKA names."""
    if broker_name == "tansu":
        async with broker.running(Leash(), tmp_path / "broker.log") as running:
            yield running.address
        return
    await remove_topics(broker_name)
    yield broker_name


@pytest_asyncio.fixture
async def spoiling_broker(broker_name: str, tmp_path: Path) -> AsyncIterator[spoiled.Broker]:
    """A broker without our topics, whose batches can be spoiled."""
    if broker_name == "tansu":
        async with spoiled.tansu(tmp_path / "broker.log") as made:
            yield made
        return
    if apache_kafka.log_directory(broker_name) is None:
        pytest.skip("the broker's files are not ours")
    await remove_topics(broker_name)
    yield spoiled.Broker(broker_name)


@pytest_asyncio.fixture
async def tansu_address(tmp_path: Path) -> AsyncIterator[str]:
    """An embedded broker with an empty log, for what no other broker could change."""
    async with broker.running(Leash(), tmp_path / "broker.log") as running:
        yield running.address


async def remove_topics(address: str, names: Collection[str] = TOPICS) -> None:
    """Remove our topics, or some of them, and wait until they are gone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        while left := set(names) & set(await admin.list_topics()):
            await admin.delete_topics(list(left))
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


def settings_for(kafka_address: str, database_url: str, **others: object) -> Settings:
    """Settings as a service would read them; a consumer group of its own."""
    return Settings(
        kafka=kafka_address,
        database_url=database_url,  # type: ignore[arg-type]
        secret_key=SECRET_KEY,  # type: ignore[arg-type]
        group=f"test-{secrets.token_hex(4)}",
        kafka_session_timeout_ms=6_000,
        **others,  # type: ignore[arg-type]
    )
