"""`myaku config publish` on real brokers: into every partition, and in force at the next tick."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from msgspec.structs import replace

from shared import kafka, topics
from shared.configuration import revision, scoring_revision
from shared.configuration.files import SHIPPED, read_document
from shared.data_dir import DataDir
from shared.events import CONFIG, TICK, USAGE_ACCEPTED, Config, Tick, decode_control, encode
from shared.in_force import followed
from shared.settings import Settings
from tests.admin.commands import Said, myaku
from tests.conftest import SECRET_KEY, settings_for
from tests.processes import until
from tests.up_files import UP_FILE

PARTITIONS = 2


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """The shipped configuration with an alert that waits longer."""
    directory = tmp_path / "changed"
    directory.mkdir()
    text = (SHIPPED / "alerts.yaml").read_text()
    assert "\n    for: 24h\n" in text
    (directory / "alerts.yaml").write_text(text.replace("\n    for: 24h\n", "\n    for: 48h\n"))
    return directory


async def publish(directory: Path, settings: Settings) -> Said:
    """The command, as a deployment's job runs it."""
    return await myaku(
        *("config", "publish", str(directory), "--partitions", str(PARTITIONS)),
        MYAKU_KAFKA=settings.kafka,
        MYAKU_DATABASE_URL=settings.database_url.get_secret_value(),
    )


async def published(settings: Settings) -> list[list[str]]:
    """The revisions that stand in each partition of the log, in order."""
    places = [TopicPartition(USAGE_ACCEPTED, number) for number in range(PARTITIONS)]
    reader = kafka.reader(settings)
    await kafka.start(reader, settings)
    reader.assign(places)
    await reader.seek_to_beginning()
    ends = await reader.end_offsets(places)
    found: dict[TopicPartition, list[str]] = {place: [] for place in places}
    for place in places:
        while await reader.position(place) < ends[place]:
            for record in (await reader.getmany(place, timeout_ms=100)).get(place, []):
                body = decode_control(record.value or b"")
                if isinstance(body, Config):
                    assert record.key == CONFIG.encode()
                    found[place].append(body.revision)
    await reader.stop()
    return list(found.values())


async def send_tick(settings: Settings, time: str) -> None:
    """A tick of the only source partition, into every partition."""
    sender = kafka.producer(settings)
    await kafka.start(sender, settings)
    for partition in range(PARTITIONS):
        tick = Tick(source_partition=0, source_partitions=1, time=time, mode="live")
        await sender.send_and_wait(
            USAGE_ACCEPTED, encode(tick), key=TICK.encode(), partition=partition
        )
    await sender.stop()


@contextmanager
def scoring(settings: Settings, log: Path) -> Iterator[None]:
    """The scoring service, as a process."""
    environment = {
        **os.environ,
        "MYAKU_KAFKA": settings.kafka,
        "MYAKU_DATABASE_URL": settings.database_url.get_secret_value(),
        "MYAKU_SECRET_KEY": SECRET_KEY,
        "MYAKU_GROUP": settings.group,
        "MYAKU_KAFKA_SESSION_TIMEOUT_MS": "6000",
        "MYAKU_SCORING_PORT": "0",
        "MYAKU_SCORING_OPERATIONS_PORT": "0",
    }
    with log.open("ab") as output:
        command = [sys.executable, "-m", "services.scoring"]
        process = subprocess.Popen(command, env=environment, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


async def test_a_new_revision_is_in_force_at_the_next_tick(
    kafka_address: str, database_url: str, changed: Path, tmp_path: Path
) -> None:
    settings = settings_for(kafka_address, database_url)
    old, new = (revision(read_document(directory)) for directory in (SHIPPED, changed))

    async def is_in_force(wanted: str) -> bool:
        return (await followed(database_url)).is_in_force(wanted)

    async def is_waiting() -> bool:
        return len((await followed(database_url)).configurations) == 2 * PARTITIONS

    scores = scoring_revision(read_document(changed))
    names = f"Health records name its part that makes scores: {scores}.\n"

    first = await publish(SHIPPED, settings)
    assert first.status == 0, first.error
    assert first.output.startswith(f"Made a new log at {kafka_address}. Published {old}: ")
    assert await published(settings) == [[old]] * PARTITIONS

    with scoring(settings, tmp_path / "scoring.log"):
        await until(lambda: is_in_force(old))
        await send_tick(settings, "2026-03-01T00:00:00.000Z")
        second = await publish(changed, settings)
        assert second.output == f"Published {new}: it is in force from the next tick on.\n{names}"
        await until(is_waiting)
        assert not await is_in_force(new)
        await send_tick(settings, "2026-03-01T00:01:00.000Z")
        await until(lambda: is_in_force(new))

    third = await publish(changed, settings)
    assert third.output == f"Nothing changed: {new} is in force already.\n{names}"
    assert await published(settings) == [[old, new, new]] * PARTITIONS

    shutil.copy(SHIPPED / "product.yaml", changed)
    product = (changed / "product.yaml").read_text()
    (changed / "product.yaml").write_text(
        product.replace("time_zone: UTC", "time_zone: Asia/Tokyo")
    )
    moved = await publish(changed, settings)
    assert (moved.status, moved.output) == (1, "")
    assert "this deployment counts its days in UTC" in moved.error
    assert await published(settings) == [[old, new, new]] * PARTITIONS


async def test_what_runs_in_a_data_directory_is_found(
    tansu_address: str, database_url: str, changed: Path, tmp_path: Path
) -> None:
    data_dir = DataDir(tmp_path / "data")
    nothing = await myaku("config", "publish", str(changed), "--data-dir", str(data_dir.path))
    assert nothing.status == 1
    assert nothing.error.startswith(f"Nothing runs in {data_dir.path}: name your deployment in")

    settings = settings_for(tansu_address, database_url)
    await topics.create_log(settings, partitions=PARTITIONS, log_id="log", source_partitions=1)
    lock = data_dir.take()
    data_dir.write(
        replace(UP_FILE, kafka=tansu_address, database_url=database_url, secret_key=SECRET_KEY)
    )
    said = await myaku(
        *("config", "publish", str(changed), "--data-dir", str(data_dir.path)),
        MYAKU_KAFKA="127.0.0.1:1",
    )
    os.close(lock)
    assert said.status == 0, said.error
    assert said.output.startswith("Published sha256:")
    assert await published(settings) == [[revision(read_document(changed))]] * PARTITIONS


async def test_it_works_before_the_database_has_its_tables(
    tansu_address: str, changed: Path
) -> None:
    nowhere = "postgresql://127.0.0.1:1/none"
    said = await publish(changed, settings_for(tansu_address, nowhere))
    assert said.status == 0, said.error
    assert said.output.startswith(f"Made a new log at {tansu_address}. Published sha256:")
    assert f"What was in force before is not known. The database at {nowhere}" in said.output


async def test_what_fails_is_one_sentence(changed: Path, database_url: str) -> None:
    settings = settings_for("127.0.0.1:1", database_url)
    absent, wrong = await asyncio.gather(
        publish(changed, settings), publish(changed / "none", settings)
    )
    assert (absent.status, absent.output) == (1, "")
    assert absent.error.endswith("127.0.0.1:1 cannot be reached: nothing answers there.\n")
    assert wrong.error == f"The configuration directory {changed}/none does not exist.\n"
