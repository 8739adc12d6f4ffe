"""Replays into a real broker: everything in order, at least once, whatever interrupts them."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from io import StringIO
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from msgspec.structs import replace
from rich.console import Console

from services.replay import checkpoint, show
from services.replay.checkpoint import Checkpoint
from services.replay.deployment import Deployment, Named, check, find
from services.replay.outcome import Outcome
from services.replay.replay import Options, prepare, run
from shared import kafka, topics
from shared.data_dir import DataDir
from shared.events import SIGNATURE_HEADER, USAGE_EVENTS, Barrier, Tick, decode_control, is_signed
from shared.history.files import refuse_missing
from shared.runtime import UserError
from shared.settings import Settings
from shared.times import iso_time, time_ms
from tests.conftest import SECRET_KEY, settings_for
from tests.processes import eventually
from tests.up_files import UP_FILE

START_MS = time_ms("2026-01-01T10:00:00Z")
NOW_MS = time_ms("2026-06-01T00:00:00Z")
UTC_ZONE = ZoneInfo("UTC")


def history(path: Path, count: int) -> Path:
    rows = (
        {
            "id": str(number),
            "account_id": f"a{number % 7}",
            "time": iso_time(START_MS + number * 60_000),
        }
        for number in range(count)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


async def deployed(address: str, log_id: str = "log-1") -> Deployment:
    settings = settings_for(address, "postgresql:///none", clock="events")
    await topics.create_log(settings, partitions=2, log_id=log_id, source_partitions=3)
    return Deployment(settings, UTC_ZONE, None, None, None)


async def replay(
    path: Path, deployment: Deployment, options: Options | None = None
) -> show.Summary:
    saved = path.parent / "replay.json"
    with show.bar(Console(quiet=True)) as progress:
        plan = prepare([path], ("UTC",), NOW_MS, saved, progress)
        return await run(plan, deployment, options or Options(), saved, progress)


async def records_of(settings: Settings, partition: int = 0) -> list[ConsumerRecord]:
    consumer = kafka.reader(settings)
    await kafka.start(consumer, settings)
    try:
        place = TopicPartition(USAGE_EVENTS, partition)
        consumer.assign([place])
        consumer.seek(place, 0)
        end = (await consumer.end_offsets([place]))[place]
        found: list[ConsumerRecord] = []
        while len(found) < end:
            found += (await consumer.getmany(place, timeout_ms=1000)).get(place, [])
        return found
    finally:
        await consumer.stop()


def lines_of(records: Sequence[ConsumerRecord]) -> list[bytes]:
    return [record.value for record in records if SIGNATURE_HEADER not in dict(record.headers)]


async def test_lines_arrive_as_they_were_among_signed_ticks(
    kafka_address: str, tmp_path: Path
) -> None:
    deployment = await deployed(kafka_address)
    path = tmp_path / "events.ndjson"
    wild = [b'{"time":"2026-01-01T10:00:00Z" ,  "account_id":"acme"}', b"\xff\x00", b"[]"]
    path.write_bytes(b"\n".join([*wild, b'{"time": "2026-01-02T00:00:00Z"}']))

    summary = await replay(path, deployment)

    records = await records_of(deployment.settings)
    assert (summary.sent, summary.earlier) == (4, 0)
    assert lines_of(records) == path.read_bytes().split(b"\n")
    assert [record.key for record in records] == [
        *(b"myaku.tick", b"acme", b"", b"", b"myaku.tick", b"", b"myaku.tick", b"myaku.barrier"),
    ]
    ours = [record for record in records if (record.key or b"").startswith(b"myaku.")]
    for record in ours:
        assert is_signed(record.value, dict(record.headers)[SIGNATURE_HEADER], SECRET_KEY)
    *ticks, barrier = [decode_control(record.value) for record in ours]
    assert [tick.time for tick in ticks if isinstance(tick, Tick)] == [
        "2026-01-01T00:00:00.000Z",
        "2026-01-02T00:00:00.000Z",
        "2026-01-02T00:00:00.000Z",
    ]
    assert {tick.source_partitions for tick in ticks if isinstance(tick, Tick)} == {3}
    assert isinstance(barrier, Barrier)
    assert await records_of(deployment.settings, 1) == []


async def test_late_events_bring_no_ticks(tansu_address: str, tmp_path: Path) -> None:
    deployment = await deployed(tansu_address)
    await replay(history(tmp_path / "events", 3_000), deployment, Options(late=True))
    records = await records_of(deployment.settings)
    assert {record.key for record in records if record.key.startswith(b"myaku.")} == {
        b"myaku.barrier"
    }
    assert len(lines_of(records)) == 3_000


async def test_a_rate_is_kept(tansu_address: str, tmp_path: Path) -> None:
    deployment = await deployed(tansu_address)
    summary = await replay(history(tmp_path / "events", 300), deployment, Options(rate=300))
    assert 0.9 < summary.seconds < 5


async def test_an_interrupted_replay_goes_on_where_its_checkpoint_says(
    tansu_address: str, tmp_path: Path
) -> None:
    deployment = await deployed(tansu_address)
    path, saved = history(tmp_path / "events", 50), tmp_path / "replay.json"
    files = checkpoint.fingerprint([path], "UTC")
    # The tick before the first line, and twenty lines.
    checkpoint.write(saved, Checkpoint("log-1", files, NOW_MS, items=21, lines=20))

    summary = await replay(path, deployment)

    assert (summary.sent, summary.earlier) == (30, 20)
    assert lines_of(await records_of(deployment.settings)) == path.read_bytes().splitlines()[20:]


@pytest.mark.parametrize(
    "left",
    [
        Checkpoint("another log", "", NOW_MS, 21, 20),
        Checkpoint("log-1", "other files", NOW_MS, 21, 20),
        None,
    ],
)
async def test_a_checkpoint_of_another_log_or_other_files_is_dropped(
    left: Checkpoint | None, tansu_address: str, tmp_path: Path
) -> None:
    deployment = await deployed(tansu_address)
    path, saved = history(tmp_path / "events", 50), tmp_path / "replay.json"
    saved.write_bytes(b"no checkpoint at all")
    if left:
        files = left.files or checkpoint.fingerprint([path], "UTC")
        checkpoint.write(saved, Checkpoint(left.log_id, files, NOW_MS, 21, 20))
    assert (await replay(path, deployment)).sent == 50


def serve(address: str, data_dir: Path, clock: str = "events") -> DataDir:
    """A data directory as `myaku up` leaves it; its lock is held by whoever calls."""
    directory = DataDir(data_dir)
    directory.take()
    config = data_dir / "config"
    config.mkdir()
    (config / "alerts.yaml").write_text("rules: []\n")
    (config / "routing.yaml").write_text(
        "{fallback: cs, destinations: {log: {type: log}}, to: [log]}\n"
    )
    directory.write(
        replace(UP_FILE, kafka=address, config=str(config), clock=clock, secret_key=SECRET_KEY)
    )
    return directory


PROGRAM = "import typer; from services.replay import cli; a = typer.Typer(); cli.register(a); a()"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_killed_at_any_point_it_loses_nothing(
    number: signal.Signals, tansu_address: str, tmp_path: Path
) -> None:
    deployment = await deployed(tansu_address)
    path = history(tmp_path / "events", 12_000)
    saved = serve(tansu_address, tmp_path / "data").replay_checkpoint

    async def start(*rate: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, str(path), "--data-dir", str(tmp_path / "data")),
            *rate,
            stderr=asyncio.subprocess.PIPE,
        )

    for _ in range(2):
        reached = checkpoint.read(saved)
        process = await start("--rate", "1000")
        await eventually(lambda known=reached: checkpoint.read(saved) not in (None, known))  # type: ignore[misc]
        os.kill(process.pid, number)
        assert await process.wait() != 0
    assert await (await start()).wait() == 0

    lines = lines_of(await records_of(deployment.settings))
    assert set(lines) == set(path.read_bytes().splitlines())
    places = [int(json.loads(line)["id"]) for line in lines]
    steps_back = [here for here, there in pairwise(places) if there != here + 1]
    assert len(steps_back) <= 2, "each run is in order, and goes on where the one before stopped"
    assert not saved.exists()


async def test_a_broker_that_is_gone(tmp_path: Path) -> None:
    settings = settings_for("127.0.0.1:1", "postgresql:///none", clock="events")
    with pytest.raises(UserError, match=r"The Kafka broker at 127\.0\.0\.1:1 cannot be reached"):
        await replay(
            history(tmp_path / "events", 5), Deployment(settings, UTC_ZONE, None, None, None)
        )


def test_nothing_to_send(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"\n\n")
    with show.bar(Console(quiet=True)) as progress, pytest.raises(UserError) as raised:
        prepare([tmp_path / "empty"], (), NOW_MS, tmp_path / "saved", progress)
    assert str(raised.value) == f"There are no events in {tmp_path}/empty."


def test_a_line_that_cannot_be_an_event_is_named_before_all_else(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_text("no event\n")
    console = Console(record=True, file=StringIO())
    with show.bar(console) as progress:
        prepare([file], (), NOW_MS, tmp_path / "saved", progress)
    assert f"{file}, line 1: this is no JSON object" in console.export_text()


def test_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MYAKU_KAFKA", raising=False)
    with pytest.raises(UserError, match=r"Nothing runs in .*: start it with `myaku up`"):
        find(DataDir(tmp_path), Named())


@pytest.mark.parametrize(
    ("clock", "late", "sentence"),
    [
        ("wall", False, "This deployment is live"),
        ("wall", True, None),
        ("events", False, None),
        ("events", True, "--late is for a live deployment"),
    ],
)
def test_history_and_live_are_not_mixed(
    clock: str, late: bool, sentence: str | None, tmp_path: Path
) -> None:
    found = find(serve("127.0.0.1:1", tmp_path, clock), Named())
    if sentence is None:
        check(found, wait=True, late=late)
        return
    with pytest.raises(UserError, match=sentence):
        check(found, wait=True, late=late)


def test_a_file_that_is_missing_is_said_before_all_else(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere does not exist"):
        refuse_missing([Path("-"), tmp_path, tmp_path / "nowhere"])


def shown(summary: show.Summary) -> str:
    console = Console(width=80, record=True, file=StringIO())
    console.print(show.table(summary))
    return console.export_text()


def test_the_figures_of_a_run_are_its_own() -> None:
    outcome = Outcome(Counter(bad_time=1), duplicates=2, too_old=3)
    whole = shown(show.Summary(10, 0, 2.0, outcome))
    for words in (
        "Replayed",
        "accepted",
        "9",
        "counted before, or older than 120 days",
        "bad_time",
    ):
        assert words in whole
    rest = shown(show.Summary(0, 10, 2.0, Outcome(Counter(), 0, 0)))
    for words in ("In this run", "sent by runs before it", "0 (all were sent before)", "2.0 s"):
        assert words in rest
    assert "events/s" not in rest
    assert "accepted" not in rest


def test_one_replay_at_a_time(tmp_path: Path) -> None:
    lock = DataDir(tmp_path).take_for_replay()
    with pytest.raises(UserError, match="Another `myaku replay` uses the data directory"):
        DataDir(tmp_path).take_for_replay()
    os.close(lock)
    os.close(DataDir(tmp_path).take_for_replay())
