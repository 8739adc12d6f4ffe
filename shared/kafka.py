"""Kafka: how its clients are set up, and records sent in order."""

import asyncio
import ssl
from collections.abc import Iterable, Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
)
from aiokafka.partitioner import murmur2

from shared.runtime import UserError
from shared.settings import Settings

SEND_SECONDS_MAX = 60
FETCH_WAIT_MS = 100
FETCH_BYTES_MAX = 1024 * 1024
"""Of a partition's records in one answer; a larger batch comes all the same."""

Headers = list[tuple[str, bytes]]
Record = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers."""


def client_options(settings: Settings) -> dict[str, Any]:
    """What every client needs to reach the broker."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka,
        "security_protocol": settings.kafka_security_protocol,
        "request_timeout_ms": 15_000,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_security_ca_file)
    if settings.kafka_security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.kafka_security_mechanism
        options["sasl_plain_username"] = settings.kafka_security_username
        options["sasl_plain_password"] = settings.kafka_security_password.get_secret_value()
    return options


def group_options(settings: Settings, group: str) -> dict[str, Any]:
    """What every consumer of a group needs; offsets are committed by nobody but us."""
    session_ms = settings.kafka_session_timeout_ms
    return {
        **client_options(settings),
        "group_id": group,
        "enable_auto_commit": False,
        "session_timeout_ms": session_ms,
        "heartbeat_interval_ms": session_ms // 10,
        "rebalance_timeout_ms": 30_000,
        "request_timeout_ms": session_ms + 15_000,  # joining waits for the other members
        "max_poll_interval_ms": 300_000,
        "partition_assignment_strategy": (StickyPartitionAssignor,),
        "check_crcs": True,
        "fetch_max_wait_ms": FETCH_WAIT_MS,
        "max_partition_fetch_bytes": FETCH_BYTES_MAX,
        "fetch_max_bytes": 8 * 1024 * 1024,
        "metadata_max_age_ms": 60_000,
    }


class BrokerUnavailable(UserError):
    """The broker cannot be reached; the text is one sentence that names it."""


async def start(client: Any, settings: Settings) -> None:
    """Start a client. Raises BrokerUnavailable."""
    try:
        await client.start()
    except (KafkaError, OSError) as error:
        await client.stop() if not isinstance(client, AIOKafkaAdminClient) else await client.close()
        why = "nothing answers there" if isinstance(error, KafkaConnectionError) else str(error)
        raise BrokerUnavailable(
            f"The Kafka broker at {settings.kafka} cannot be reached: {why}."
        ) from error


def producer(settings: Settings) -> AIOKafkaProducer:
    """A producer whose acknowledgement means that every in-sync replica has the record.

    Not idempotent, since the embedded broker cannot: what is sent twice dies in scoring.
    """
    return AIOKafkaProducer(
        **client_options(settings),
        acks="all",
        compression_type="zstd",
        linger_ms=0,
        max_batch_size=512 * 1024,
        max_request_size=1024 * 1024,
        metadata_max_age_ms=60_000,
    )


def reader(settings: Settings) -> AIOKafkaConsumer:
    """A consumer without a group, for reading given places of the log."""
    return AIOKafkaConsumer(
        **client_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )


async def send_in_order(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Iterable[Record]
) -> None:
    """Send records to one partition; returns when the broker has acknowledged all of them.

    A batch is acknowledged before the next one goes: one that fails lets none overtake it. Raises
    KafkaError, also where one batch takes more than SEND_SECONDS_MAX.
    """
    for batch in _batches(producer, records):
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await (await producer.send_batch(batch, topic, partition=partition))
        except TimeoutError as error:
            raise KafkaTimeoutError(f"{topic}: no answer in {SEND_SECONDS_MAX} s") from error


def _batches(producer: AIOKafkaProducer, records: Iterable[Record]) -> Iterator[Any]:
    batch = producer.create_batch()
    for key, value, headers in records:
        if batch.append(key=key, value=value, headers=headers, timestamp=None) is None:
            batch.close()
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=value, headers=headers, timestamp=None)
    if batch.record_count():
        batch.close()
        yield batch


def partition_of(account_id: str, partitions: int) -> int:
    """The partition of an account: the mapping of Kafka's own clients."""
    return int(murmur2(account_id.encode()) & 0x7FFFFFFF) % partitions


async def partitions_of(client: AIOKafkaConsumer | AIOKafkaProducer, topic: str) -> int:
    """How many partitions the topic has; 0 if there is no such topic."""
    connection = client.client if isinstance(client, AIOKafkaProducer) else client._client
    cluster = await connection.fetch_all_metadata()
    partitions: set[int] | None = cluster.partitions_for_topic(topic)
    return len(partitions or ())


async def need_partitions(
    client: AIOKafkaConsumer | AIOKafkaProducer, topic: str, settings: Settings
) -> int:
    """How many partitions the topic has. Raises UserError where there is none, or no answer."""
    try:
        count = await partitions_of(client, topic)
    except KafkaError as error:
        raise BrokerUnavailable(
            f"The Kafka broker at {settings.kafka} does not tell its topics: {error}."
        ) from error
    if not count:
        raise UserError(
            f"There is no topic {topic} at {settings.kafka}: `myaku config publish` makes it."
        )
    return count
