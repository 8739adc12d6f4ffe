"""The broker that end-to-end tests run against, beside the embedded one."""

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.standalone.keeper import Leash
from tests import apache_kafka


async def test_it_starts_and_makes_topics() -> None:
    try:
        apache_kafka.fetch()
    except apache_kafka.Unavailable as why:
        pytest.skip(str(why))
    async with apache_kafka.running(Leash()) as address:
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        await admin.create_topics([NewTopic("usage.events", 4, 1)])
        assert await admin.list_topics() == ["usage.events"]
        await admin.close()
