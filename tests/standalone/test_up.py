"""`myaku up`: one sentence for what is wrong, and nothing lost or counted twice by a restart."""

import asyncio
import json
import os
import signal
import subprocess
from io import StringIO
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from rich.console import Console
from sqlalchemy import text

from services.standalone import up
from services.standalone.up import Options
from shared import database
from shared.configuration import revision
from shared.configuration.files import read_document
from shared.data_dir import DataDir
from shared.events import Config, encode
from shared.runtime import UserError, listen, now_ms
from shared.times import iso_time
from tests.conftest import settings_for
from tests.end_to_end import small_history
from tests.end_to_end.installation import MYAKU, Installation, run, start
from tests.end_to_end.installation import up as running
from tests.processes import eventually, is_alive


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` tells its services where all is through the environment: give it back afterwards."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of our own."""
    directory = tmp_path / "config"
    directory.mkdir()
    (directory / "alerts.yaml").write_text("rules: []\n")
    (directory / "routing.yaml").write_text(
        "{fallback: cs, destinations: {log: {type: log}}, to: [log]}\n"
    )
    return directory


async def refusal(options: Options) -> str:
    """The sentence with which it does not start."""
    with pytest.raises(UserError) as raised:
        async with up.running(options, Console(file=StringIO())):
            pass
    assert "\n" not in str(raised.value)
    assert not (options.data_dir / "up.json").exists()
    return str(raised.value)


async def test_a_wrong_configuration(tmp_path: Path, config: Path) -> None:
    (config / "product.yaml").write_text("time_zone: Mars\n")
    said = await refusal(Options(tmp_path / "data", config=config, ports_from=0))
    assert said.startswith(f"{config}/product.yaml:1: product.time_zone: 'Mars' is no time zone")


async def test_a_taken_port(tmp_path: Path, config: Path) -> None:
    with listen(0) as taken:
        port = taken.getsockname()[1]
        first = port - 1  # ingest has the second of the ports, and is asked for first
        said = await refusal(Options(tmp_path / "data", config=config, ports_from=first))
    assert said.startswith(f"Port {port} on 127.0.0.1 cannot be used")
    assert "--ports-from" in said


async def test_a_broker_that_cannot_be_reached(
    tmp_path: Path, config: Path, database_url: str
) -> None:
    options = Options(
        tmp_path / "data", config=config, kafka="127.0.0.1:1", database=database_url, ports_from=0
    )
    assert "The Kafka broker at 127.0.0.1:1 cannot be reached" in await refusal(options)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://127.0.0.1:1/none", "The database at postgresql://127.0.0.1:1/none cannot"),
        ("nonsense", "--database does not name a database"),
    ],
)
async def test_a_database_that_cannot_be_used(
    url: str, sentence: str, tmp_path: Path, config: Path, tansu_address: str
) -> None:
    options = Options(
        tmp_path / "data", config=config, kafka=tansu_address, database=url, ports_from=0
    )
    assert (await refusal(options)).startswith(sentence)


async def test_a_kafka_that_is_no_address(tmp_path: Path, config: Path, database_url: str) -> None:
    options = Options(
        tmp_path / "data", config=config, kafka="nohost", database=database_url, ports_from=0
    )
    assert (await refusal(options)).startswith("--kafka does not name a broker")


async def test_what_was_published_is_not_undone_in_silence(
    tmp_path: Path, config: Path, database_url: str, tansu_address: str
) -> None:
    options = Options(tmp_path / "data", config=config, kafka=tansu_address, database=database_url)
    document = read_document(config)
    settings = settings_for(tansu_address, database_url)

    async def prepared(in_force: str) -> list[str]:
        engine = database.create(database_url)
        async with database.transaction(engine) as connection:
            await connection.exec_driver_sql("DELETE FROM scoring.configuration")
            await connection.exec_driver_sql(
                "INSERT INTO scoring.partition (partition, log_id, epoch, next, owner, partitions)"
                " VALUES (0, 'log', 1, 0, '', 1) ON CONFLICT DO NOTHING"
            )
            await connection.exec_driver_sql(
                "INSERT INTO scoring.configuration VALUES (0, 'active', $1)",
                (encode(Config(in_force, document)),),
            )
        await engine.dispose()
        said: list[str] = []
        await up._prepare(options, settings, document, said.append)
        return said

    [said] = await prepared("sha256:another")
    assert said.startswith("Another configuration was in force: from now on it is that of")
    assert await prepared(revision(document)) == []


async def test_another_time_zone_than_the_days_were_counted_in(
    tmp_path: Path, config: Path, database_url: str, tansu_address: str
) -> None:
    document = {"product": {"time_zone": "Asia/Tokyo"}}
    engine = database.create(database_url)
    async with database.transaction(engine) as connection:
        await connection.exec_driver_sql(
            "INSERT INTO scoring.partition (partition, log_id, epoch, next, owner, partitions)"
            " VALUES (0, 'log', 1, 0, '', 1)"
        )
        await connection.exec_driver_sql(
            "INSERT INTO scoring.configuration (partition, place, record) VALUES (0, 'active', $1)",
            (encode(Config("any", document)),),
        )
    await engine.dispose()
    options = Options(
        tmp_path / "data", config=config, kafka=tansu_address, database=database_url, ports_from=0
    )
    said = "product.yaml: time_zone: this deployment counts its days in Asia/Tokyo, and they cannot"
    assert (await refusal(options)).startswith(said)


async def test_a_live_deployment_does_not_become_a_history(
    tmp_path: Path, config: Path, database_url: str, tansu_address: str
) -> None:
    await database.migrate(database_url)
    engine = database.create(database_url)
    async with database.transaction(engine) as connection:
        await connection.execute(
            text(
                "INSERT INTO scoring.partition (partition, log_id, epoch, next, owner, clock)"
                """ VALUES (0, 'log', 1, 0, '', '{"clock": {"live": true}}')"""
            )
        )
    await engine.dispose()
    options = Options(
        tmp_path / "data",
        config=config,
        clock="events",
        kafka=tansu_address,
        database=database_url,
        ports_from=0,
    )
    assert (await refusal(options)).endswith("use a new directory, --data-dir DIR.")


async def test_a_directory_that_is_in_use(tmp_path: Path, config: Path) -> None:
    lock = DataDir(tmp_path).take()
    with pytest.raises(UserError, match="Another `myaku up` uses the data directory"):
        async with up.running(Options(tmp_path, config=config), Console(file=StringIO())):
            pass
    os.close(lock)


async def _standing(myaku: Installation) -> tuple[list[object], set[str], int]:
    """All accounts' health, the ids of the log, and how many records of it are handled."""
    partitions = await myaku.all("scoring", "/v1/partitions")
    return (
        await myaku.all("scoring", "/v1/accounts"),
        {partition["log_id"] for partition in partitions},
        sum(partition["next"] for partition in partitions),
    )


def _start(data_dir: Path, options: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    command = [MYAKU, "up", "--data-dir", str(data_dir), "--ports-from", "0", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


async def _run_until_killed(
    data_dir: Path, options: tuple[str, ...], replay: tuple[str, ...]
) -> tuple[list[object], set[str], int]:
    """Replay, then SIGKILL in the middle of its life; how all stood. Its children end too."""
    process = _start(data_dir, options)
    try:
        await eventually((data_dir / "up.json").exists, 90)
        myaku = Installation(data_dir, process)
        status, printed = await run(*replay, data_dir=data_dir)
        assert status == 0, printed
        standing = await _standing(myaku)
        children = list(myaku.up_file["pids"].values())
    finally:
        process.kill()
        process.wait()
    await eventually(lambda: not any(map(is_alive, children)), 40)
    (data_dir / "up.json").unlink()  # so that the next one is known by its own
    return standing


async def test_killed_and_started_again_it_has_a_new_log_and_the_same_health(
    tmp_path: Path, config: Path
) -> None:
    data_dir, history = tmp_path / "data", tmp_path / "events.ndjson.gz"
    counts = small_history.write(history)
    options = ("--clock", "events", "--config", str(config))
    replay = ("replay", str(history), "--wait")
    before, log_ids, _ = await _run_until_killed(data_dir, options, replay)

    async with running(data_dir, *options) as myaku:
        again, new_log_ids, handled = await _standing(myaku)
        assert again == before
        assert len(log_ids | new_log_ids) == 2
        status, printed = await run(*replay, data_dir=data_dir)
        assert status == 0, printed
        again, _, handled_later = await _standing(myaku)
        assert again == before, "the checkpoint of the old log is dropped, and all are duplicates"
        assert handled_later - handled >= counts["accepted"]


async def test_what_is_sent_while_ingest_is_down_is_counted_before_all_ends(
    tmp_path: Path, config: Path
) -> None:
    data_dir, options = tmp_path / "data", ("--config", str(config))
    event = {
        "id": "use-1",
        "type": "report.exported",
        "account_id": "acme",
        "user_id": "u-1",
        "time": iso_time(now_ms()),
    }
    async with running(data_dir, *options) as myaku:
        producer = AIOKafkaProducer(bootstrap_servers=myaku.up_file["kafka"], acks="all")
        await producer.start()
        pid = myaku.pid("ingest")
        assert pid
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: "ingest ended" in data_dir.with_suffix(".log").read_text())
        await producer.send_and_wait("usage.events", json.dumps(event).encode())
        await producer.stop()
    said = data_dir.with_suffix(".log").read_text()
    assert "Counting what was sent; Ctrl-C again stops at once" in said
    assert said.endswith("Stopped.\n")

    async with running(data_dir, *options) as myaku:
        accounts = await myaku.all("scoring", "/v1/accounts")
        assert [account["account_id"] for account in accounts] == ["acme"]


async def test_what_cannot_be_counted_is_said(tmp_path: Path, config: Path) -> None:
    data_dir = tmp_path / "data"
    options = ("--ports-from", "0", "--config", str(config))
    process = await start("up", *options, data_dir=data_dir)
    try:
        await eventually((data_dir / "up.json").exists, 90)
        os.kill(
            int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL
        )
        async with asyncio.timeout(60):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    said = printed.decode()
    assert process.returncode == 1
    assert "The embedded database ended (" in said
    assert said.endswith("may not have been counted, and are lost with the embedded broker.\n")
