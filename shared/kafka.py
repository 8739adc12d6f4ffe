"""Kafka: how its clients are set up, and the identity of a log."""

import asyncio
import ssl
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.partitioner import murmur2
from msgspec import MsgspecError

from shared.configuration import revision
from shared.events import (
    CONFIG,
    HEALTH_CHANGES,
    LOG,
    USAGE_ACCEPTED,
    USAGE_EVENTS,
    USAGE_REJECTED,
    Config,
    Marker,
    decode_control,
    encode,
)
from shared.runtime import UserError
from shared.settings import Settings

MARKED_TOPICS = (USAGE_ACCEPTED, HEALTH_CHANGES)
FIRST_RECORD_SECONDS = 10
SEND_SECONDS_MAX = 60

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
    }


async def start(client: Any, settings: Settings) -> None:
    """Start a client. Raises UserError where the broker cannot be reached."""
    try:
        await client.start()
    except (KafkaError, OSError) as error:
        await client.stop() if not isinstance(client, AIOKafkaAdminClient) else await client.close()
        why = "nothing answers there" if isinstance(error, KafkaConnectionError) else str(error)
        raise UserError(
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
    )


def reader(settings: Settings) -> AIOKafkaConsumer:
    """A consumer without a group, for reading given places of the log."""
    return AIOKafkaConsumer(
        **client_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_wait_ms=100,
    )


async def send_in_order(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Iterable[Record]
) -> None:
    """Send records to one partition; returns when the broker has acknowledged all of them.

    A batch is acknowledged before the next one goes: one that fails lets none overtake it. Raises
    KafkaError, or TimeoutError where one batch takes more than SEND_SECONDS_MAX.
    """
    for batch in _batches(producer, records):
        async with asyncio.timeout(SEND_SECONDS_MAX):
            await (await producer.send_batch(batch, topic, partition=partition))


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


def no_topic(topic: str, settings: Settings) -> UserError:
    """The sentence for a topic that is not there."""
    return UserError(f"There is no topic {topic} at {settings.kafka}: `myaku up` makes it.")


async def create_log(
    settings: Settings, *, partitions: int, log_id: str, source_partitions: int
) -> str:
    """Make the topics that are missing and mark the log; the id of the log that stands there.

    Raises UserError where topics exist that are not ours.
    """
    wanted = {
        USAGE_EVENTS: (source_partitions, {}),
        USAGE_ACCEPTED: (partitions, {"retention.ms": "-1"}),
        USAGE_REJECTED: (1, {}),
        HEALTH_CHANGES: (
            partitions,
            {"cleanup.policy": "compact", "min.compaction.lag.ms": str(7 * 86_400_000)},
        ),
    }
    await _create_topics(settings, wanted)
    sender = producer(settings)
    await start(sender, settings)
    try:
        found: dict[TopicPartition, Marker | None] = {}
        for topic in MARKED_TOPICS:
            count = await partitions_of(sender, topic)
            found |= await read_markers(
                settings, [TopicPartition(topic, number) for number in range(count)]
            )
        wanted_marker = _agreed(settings, found, log_id)
        for place, marker in found.items():
            if marker is None:
                value = encode(wanted_marker)
                await sender.send_and_wait(
                    place.topic, value, key=LOG.encode(), partition=place.partition
                )
        return wanted_marker.id
    finally:
        await sender.stop()


def _agreed(
    settings: Settings, found: Mapping[TopicPartition, Marker | None], log_id: str
) -> Marker:
    """The marker of all partitions. Raises UserError where they cannot be one log."""
    counts = {sum(1 for place in found if place.topic == topic) for topic in MARKED_TOPICS}
    counts |= {marker.partitions for marker in found.values() if marker}
    ids = {marker.id for marker in found.values() if marker}
    if len(ids) > 1:
        names = ", ".join(sorted(ids))
        raise UserError(f"The topics at {settings.kafka} belong to different logs: {names}.")
    if len(counts) > 1:
        raise UserError(
            f"Topics {' and '.join(MARKED_TOPICS)} at {settings.kafka} have, or were made with,"
            f" different numbers of partitions: {sorted(counts)}. See `myaku log repartition`."
        )
    return Marker(next(iter(ids), log_id), counts.pop())


async def _create_topics(settings: Settings, wanted: dict[str, tuple[int, dict[str, str]]]) -> None:
    admin = AIOKafkaAdminClient(**client_options(settings))
    await start(admin, settings)
    try:
        answer = await admin.create_topics(
            [
                NewTopic(
                    name,
                    count,
                    replication_factor=settings.kafka_replication_factor,
                    topic_configs=options,
                )
                for name, (count, options) in wanted.items()
            ]
        )
        for topic, code, *_ in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise UserError(f"Topic {topic} at {settings.kafka} cannot be made: {error}.")
    finally:
        await admin.close()


async def read_markers(
    settings: Settings, places: Iterable[TopicPartition]
) -> dict[TopicPartition, Marker | None]:
    """The marker that each partition begins with; None where the partition is still empty.

    Raises UserError where a partition begins with something else.
    """
    consumer = reader(settings)
    await start(consumer, settings)
    try:
        wanted = list(places)
        consumer.assign(wanted)
        for place in wanted:
            consumer.seek(place, 0)
        async with asyncio.timeout(FIRST_RECORD_SECONDS):
            return {place: await _read_marker(consumer, place, settings) for place in wanted}
    except TimeoutError as error:
        raise UserError(f"The broker at {settings.kafka} gives no records.") from error
    finally:
        await consumer.stop()


def _cut(settings: Settings, place: TopicPartition) -> UserError:
    return UserError(
        f"Topic {place.topic} at {settings.kafka} has lost its first records, and with them the"
        " log's marker: keep them (retention.ms=-1). See `myaku log adopt`."
    )


async def _read_marker(
    consumer: AIOKafkaConsumer, place: TopicPartition, settings: Settings
) -> Marker | None:
    records: list[ConsumerRecord] = []
    while not records:
        try:
            batch = await consumer.getmany(place, timeout_ms=100, max_records=1)
        except OffsetOutOfRangeError as error:
            raise _cut(settings, place) from error
        records = batch.get(place, [])
        if not records and consumer.highwater(place) == 0:
            return None
    try:
        marker = decode_control(records[0].value or b"")
    except MsgspecError:
        marker = None
    if not isinstance(marker, Marker):
        raise UserError(
            f"Topic {place.topic} at {settings.kafka} does not begin with a log marker: it was not"
            " made by Myaku. Use topics of its own, or `myaku log adopt`."
        )
    return marker


async def publish_configuration(settings: Settings, document: dict[str, Any]) -> str:
    """Write a configuration into every partition of `usage.accepted`; its revision.

    Re-runnable: it is complete when all partitions have it.
    """
    record = Config(revision(document), document)
    sender = producer(settings)
    await start(sender, settings)
    try:
        count = await partitions_of(sender, USAGE_ACCEPTED)
        if not count:
            raise no_topic(USAGE_ACCEPTED, settings)
        for partition in range(count):
            await sender.send_and_wait(
                USAGE_ACCEPTED, encode(record), key=CONFIG.encode(), partition=partition
            )
    finally:
        await sender.stop()
    return record.revision
