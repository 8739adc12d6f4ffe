"""The topics: how they are made, the identity of the log in them, and its configuration."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
    for_code,
)
from msgspec import MsgspecError

from shared import kafka
from shared.configuration import revision
from shared.events import (
    CONFIG,
    ENGAGEMENT_CHANGES,
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
WEEK_MS = 7 * 86_400_000
COMPACTED = {"cleanup.policy": "compact", "min.compaction.lag.ms": str(WEEK_MS)}
KEPT_A_WEEK = {"cleanup.policy": "delete", "retention.ms": str(WEEK_MS)}
"""What tells of users under their account's key: compacted, it would keep one of them."""
CONFIG_BYTES_MAX = 1_000_000
CUT = ""
"""The id that is read of a partition which has lost its first records, and the marker with them."""

FIRST_RECORD_SECONDS = 10
ANSWER_MS = 20


async def create_log(
    settings: Settings, *, partitions: int, log_id: str, source_partitions: int
) -> str:
    """Make the topics that are missing and mark them; the id of the log that stands there.

    A topic that is made anew beside one that is there gets the new id: it is no part of the log
    that the other one knows. Raises UserError where topics exist that are not ours.
    """
    wanted = {
        USAGE_EVENTS: (source_partitions, {}),
        USAGE_ACCEPTED: (partitions, {"retention.ms": "-1"}),
        USAGE_REJECTED: (1, {}),
        HEALTH_CHANGES: (partitions, COMPACTED),
        ENGAGEMENT_CHANGES: (partitions, KEPT_A_WEEK),
    }
    await _create_topics(settings, wanted)
    sender = kafka.producer(settings)
    await kafka.start(sender, settings)
    try:
        counts = {topic: await _count(sender, topic, settings) for topic in MARKED_TOPICS}
        places = [TopicPartition(topic, n) for topic, count in counts.items() for n in range(count)]
        found = await read_markers(settings, places)
        wanted_markers = _agreed(settings, found, log_id)
        for place, marker in found.items():
            if marker is None:
                value = encode(wanted_markers[place.topic])
                await sender.send_and_wait(
                    place.topic, value, key=LOG.encode(), partition=place.partition
                )
        return wanted_markers[USAGE_ACCEPTED].id
    finally:
        await sender.stop()


def _agreed(
    settings: Settings, found: Mapping[TopicPartition, Marker | None], log_id: str
) -> dict[str, Marker]:
    """The marker of each topic. Raises UserError where its partitions cannot be one log."""
    counts = {sum(1 for place in found if place.topic == topic) for topic in MARKED_TOPICS}
    counts |= {marker.partitions for marker in found.values() if marker}
    ids = {
        topic: {each.id for place, each in found.items() if each and place.topic == topic} - {CUT}
        for topic in MARKED_TOPICS
    }
    for topic, known in ids.items():
        if len(known) > 1:
            names = ", ".join(sorted(known))
            raise UserError(f"Topic {topic} at {settings.kafka} is of different logs: {names}.")
    if len(counts) > 1:
        raise UserError(
            f"Topics {' and '.join(MARKED_TOPICS)} at {settings.kafka} have, or were made with,"
            f" different numbers of partitions: {sorted(counts)}. docs/operations.md says what"
            " to do."
        )
    count = counts.pop()
    return {topic: Marker(next(iter(known), log_id), count) for topic, known in ids.items()}


async def _create_topics(settings: Settings, wanted: dict[str, tuple[int, dict[str, str]]]) -> None:
    admin = AIOKafkaAdminClient(**kafka.client_options(settings))
    await kafka.start(admin, settings)
    try:
        there = set(await admin.list_topics())
        missing = [
            NewTopic(
                name,
                count,
                replication_factor=settings.kafka_replication_factor,
                topic_configs=options,
            )
            for name, (count, options) in wanted.items()
            if name not in there
        ]
        if not missing:
            return
        answer = await admin.create_topics(missing)
        for topic, code, *_ in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise UserError(f"Topic {topic} at {settings.kafka} cannot be made: {error}.")
    finally:
        await admin.close()


async def _count(sender: AIOKafkaProducer, topic: str, settings: Settings) -> int:
    """How many partitions a topic has that was made: a broker may hear of it a moment later."""
    try:
        async with asyncio.timeout(FIRST_RECORD_SECONDS):
            while not (count := await kafka.partitions_of(sender, topic)):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(ANSWER_MS / 1000)
            return count
    except TimeoutError as error:
        raise kafka.BrokerUnavailable(
            f"The broker at {settings.kafka} does not know {topic}, which was made."
        ) from error


async def read_topic(settings: Settings, topic: str) -> dict[TopicPartition, Marker | None]:
    """The markers of all partitions of a topic, in order. Raises UserError, as `read_markers`."""
    consumer = kafka.reader(settings)
    await kafka.start(consumer, settings)
    try:
        count = await kafka.need_partitions(consumer, topic, settings)
    finally:
        await consumer.stop()
    places = [TopicPartition(topic, number) for number in range(count)]
    found = await read_markers(settings, places)
    return {place: found[place] for place in places}


async def read_markers(
    settings: Settings, places: Iterable[TopicPartition]
) -> dict[TopicPartition, Marker | None]:
    """The marker that each partition begins with; None where the partition is still empty.

    One that has lost its first records is said to be CUT. Raises UserError where a partition was
    begun with something else.
    """
    consumer = kafka.reader(settings)
    await kafka.start(consumer, settings)
    try:
        left = set(places)
        consumer.assign(left)
        for place in left:
            consumer.seek(place, 0)
        found: dict[TopicPartition, Marker | None] = {}
        async with asyncio.timeout(FIRST_RECORD_SECONDS):
            while left := left - found.keys():
                found |= await _read_answers(consumer, left, settings)
        return found
    except TimeoutError as error:
        raise kafka.BrokerUnavailable(
            f"The broker at {settings.kafka} gives no records."
        ) from error
    finally:
        await consumer.stop()


async def _read_answers(
    consumer: AIOKafkaConsumer, places: Iterable[TopicPartition], settings: Settings
) -> dict[TopicPartition, Marker | None]:
    """The markers of those partitions that the broker has answered for meanwhile."""
    try:
        batch = await consumer.getmany(*places, timeout_ms=ANSWER_MS, max_records=1)
    except OffsetOutOfRangeError as error:
        return {place: _cut(consumer, place) for place in error.args[0]}
    found = {
        place: _marker(place, records[0], settings) or _cut(consumer, place)
        for place, records in batch.items()
    }
    empty = {place for place in places if consumer.highwater(place) == 0}
    return dict.fromkeys(empty) | found


def _cut(consumer: AIOKafkaConsumer, place: TopicPartition) -> Marker:
    return Marker(CUT, len(consumer.partitions_for_topic(place.topic) or ()))


def _marker(place: TopicPartition, record: ConsumerRecord, settings: Settings) -> Marker | None:
    """What a first record says; None where there were others before it."""
    try:
        marker = decode_control(record.value or b"")
    except MsgspecError:
        marker = None
    if isinstance(marker, Marker):
        return marker
    if record.offset > 0:
        return None
    raise UserError(
        f"Topic {place.topic} at {settings.kafka} does not begin with a log marker: it was not"
        " made by Myaku. Use topics of its own."
    )


async def publish_configuration(settings: Settings, document: dict[str, Any]) -> str:
    """Write a configuration into every partition of `usage.accepted`; its revision.

    Re-runnable: it is complete when all partitions have it. Raises UserError where the
    configuration is larger than a record may be.
    """
    config = Config(revision(document), document)
    record = encode(config)
    if len(record) > CONFIG_BYTES_MAX:
        raise UserError(
            f"The configuration takes {len(record)} bytes as JSON, over {CONFIG_BYTES_MAX}: it is"
            " one record of the log."
        )
    sender = kafka.producer(settings)
    await kafka.start(sender, settings)
    try:
        count = await kafka.need_partitions(sender, USAGE_ACCEPTED, settings)
        for partition in range(count):
            await sender.send_and_wait(
                USAGE_ACCEPTED, record, key=CONFIG.encode(), partition=partition
            )
    finally:
        await sender.stop()
    return config.revision
