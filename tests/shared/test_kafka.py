"""A log's topics and its identity, on both brokers."""

import asyncio
import time

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared import kafka, topics
from shared.configuration import revision
from shared.events import (
    CONFIG,
    ENGAGEMENT_CHANGES,
    HEALTH_CHANGES,
    USAGE_ACCEPTED,
    USAGE_EVENTS,
    Config,
    Marker,
    decode_control,
)
from shared.runtime import UserError
from shared.settings import Settings
from tests.conftest import settings_for

URL = "postgresql://127.0.0.1/none"


@pytest.fixture
def settings(kafka_address: str) -> Settings:
    return settings_for(kafka_address, URL)


async def create(settings: Settings, log_id: str, partitions: int = 2) -> str:
    return await topics.create_log(
        settings, partitions=partitions, log_id=log_id, source_partitions=1
    )


async def read(settings: Settings, topic: str, partition: int) -> list[tuple[bytes, bytes]]:
    consumer = kafka.reader(settings)
    await consumer.start()
    place = TopicPartition(topic, partition)
    consumer.assign([place])
    consumer.seek(place, 0)
    found: list[tuple[bytes, bytes]] = []
    while consumer.highwater(place) is None or len(found) < consumer.highwater(place):
        batch = await consumer.getmany(place, timeout_ms=100)
        found += [(record.key, record.value) for record in batch.get(place, [])]
    await consumer.stop()
    return found


async def options(settings: Settings, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    wanted = ConfigResource(ConfigResourceType.TOPIC, topic)
    answers = await admin.describe_configs([wanted])
    await admin.close()
    entries = [entry for answer in answers for one in answer.resources for entry in one[4]]
    return {name: value for name, value, *_ in entries}


async def test_a_configuration_that_is_no_record_is_refused() -> None:
    """Before anything is asked of a broker: there is none."""
    nowhere = settings_for("127.0.0.1:1", URL)
    with pytest.raises(UserError, match="over 1000000: it is one record"):
        await topics.publish_configuration(nowhere, {"product": {"note": "x" * 1_000_000}})


async def test_only_what_has_one_record_a_key_is_compacted(settings: Settings) -> None:
    await create(settings, "log-1")
    assert (await options(settings, HEALTH_CHANGES))["cleanup.policy"] == "compact"
    ranks = await options(settings, ENGAGEMENT_CHANGES)  # many users under an account's key
    assert (ranks["cleanup.policy"], ranks["retention.ms"]) == ("delete", "604800000")


async def test_the_first_to_make_a_log_names_it(settings: Settings) -> None:
    assert await create(settings, "log-1") == "log-1"
    assert await create(settings, "log-2") == "log-1"
    for topic in (USAGE_ACCEPTED, HEALTH_CHANGES):
        for partition in range(2):
            records = await read(settings, topic, partition)
            assert [decode_control(value) for _, value in records] == [Marker("log-1", 2)]


async def test_many_partitions_are_asked_together(tansu_address: str) -> None:
    settings = settings_for(tansu_address, URL)
    assert await create(settings, "log-1", partitions=120) == "log-1"
    assert await create(settings, "log-2", partitions=120) == "log-1"


async def test_what_is_missing_is_made(settings: Settings) -> None:
    await topics._create_topics(settings, {USAGE_ACCEPTED: (2, {})})
    assert await create(settings, "log-1") == "log-1"
    assert await create(settings, "log-2") == "log-1"


async def test_topics_of_different_sizes_are_refused(settings: Settings) -> None:
    await topics._create_topics(settings, {USAGE_ACCEPTED: (3, {})})
    with pytest.raises(UserError, match="different numbers of partitions"):
        await create(settings, "log-1")


async def test_topics_of_somebody_else_are_refused(settings: Settings) -> None:
    await topics._create_topics(settings, {USAGE_ACCEPTED: (2, {})})
    producer = kafka.producer(settings)
    await producer.start()
    await producer.send_and_wait(USAGE_ACCEPTED, b"theirs", partition=1)
    await producer.stop()
    with pytest.raises(UserError, match="does not begin with a log marker"):
        await create(settings, "log-1")


async def test_every_partition_gets_the_configuration(settings: Settings) -> None:
    await create(settings, "log-1")
    document = {"product": {"time_zone": "UTC"}}
    assert await topics.publish_configuration(settings, document) == revision(document)
    for partition in range(2):
        (key, value) = (await read(settings, USAGE_ACCEPTED, partition))[-1]
        assert (key, decode_control(value)) == (
            CONFIG.encode(),
            Config(revision(document), document),
        )


async def test_a_configuration_needs_its_topic(settings: Settings) -> None:
    with pytest.raises(UserError, match=r"There is no topic usage\.accepted"):
        await topics.publish_configuration(settings, {})


async def test_records_arrive_whole_and_in_order(settings: Settings) -> None:
    await create(settings, "log-1")
    producer = kafka.producer(settings)
    await producer.start()
    sent = [(str(at).encode(), bytes([at % 256]) * 9_000) for at in range(300)]
    await kafka.send_in_order(producer, USAGE_EVENTS, 0, ((key, value, []) for key, value in sent))
    await producer.stop()
    assert await read(settings, USAGE_EVENTS, 0) == sent


async def test_a_broker_that_is_not_there_is_one_sentence_and_soon() -> None:
    started = time.monotonic()
    with pytest.raises(UserError, match=r"broker at 127\.0\.0\.1:1 cannot be reached"):
        await asyncio.wait_for(create(settings_for("127.0.0.1:1", URL), "log-1"), 60)
    assert time.monotonic() - started < 30


def test_an_account_has_the_partition_that_kafka_clients_give_it() -> None:
    assert [kafka.partition_of(name, 4) for name in ("acme", "会社", "x" * 128)] == [
        kafka.partition_of(name, 8) % 4 for name in ("acme", "会社", "x" * 128)
    ]
