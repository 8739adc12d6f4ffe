"""One replay: the files are read to their end, then what they hold is sent from first to last."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from rich.progress import Progress

from services.replay import checkpoint, outcome
from services.replay.checkpoint import Checkpoint
from services.replay.deployment import Deployment
from services.replay.publish import PARTITION, Item, publish
from services.replay.show import Summary
from shared import kafka, topics
from shared.barriers import send_barrier
from shared.events import USAGE_ACCEPTED, USAGE_EVENTS
from shared.history.lines import NO_TIME, Line
from shared.history.merge import merge, survey
from shared.history.ticks import with_ticks
from shared.runtime import UserError
from shared.settings import Settings
from shared.times import iso_time


@dataclass(frozen=True)
class Options:
    """Whether to wait for the end of it, how many lines a second, whether as late events."""

    wait: bool = False
    rate: int | None = None
    late: bool = False


@dataclass(frozen=True)
class Plan:
    """What is to be sent: so many lines, by time. `files` and `latest_ms` as in Checkpoint."""

    lines: Iterator[Line]
    total: int
    files: str
    latest_ms: int


def prepare(
    paths: Sequence[Path], how: Sequence[str], now_ms: int, saved: Path, progress: Progress
) -> Plan:
    """Read the files to their end, and sort those that need it.

    `saved` is where the checkpoint is; its directory has room for sorting. Raises UserError.
    """
    task = progress.add_task("Reading", total=None, note="")
    files = checkpoint.fingerprint(paths, *how)
    interrupted = checkpoint.read(saved)
    same = interrupted is not None and interrupted.files == files
    latest_ms = interrupted.latest_ms if interrupted and same else now_ms
    surveyed = []
    for path in paths:
        progress.update(task, note=path.name)
        surveyed.append(survey(path, latest_ms))
    for remark in filter(None, (file.remark() for file in surveyed)):
        progress.console.print(remark, markup=False, highlight=False, soft_wrap=True)
    total = sum(file.lines for file in surveyed)
    if not total:
        raise UserError(f"There are no events in {', '.join(map(str, paths))}.")
    if not all(file.is_sorted for file in surveyed):
        progress.update(task, description="Sorting by time")
    lines = merge(surveyed, latest_ms, saved.parent)
    progress.remove_task(task)
    return Plan(lines, total, files, latest_ms)


async def run(
    plan: Plan, deployment: Deployment, options: Options, saved: Path, progress: Progress
) -> Summary:
    """Send it, from where an interrupted run left it, and wait if asked. Raises UserError."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    begun = await _begin(plan, deployment.settings, saved)
    then = await outcome.before(deployment) if options.wait else None
    task = progress.add_task("Sending", total=plan.total, completed=begun.lines, note="")

    def keep(done: Checkpoint, time_ms: int) -> None:
        checkpoint.write(saved, done)
        day = "" if time_ms == NO_TIME else iso_time(time_ms)[:10]
        progress.update(task, completed=done.lines, note=day)

    barrier_id = await _send(plan, begun, deployment, options, keep)
    found = None
    if then:
        progress.update(task, description="Waiting", note="")
        found = await outcome.after(
            deployment, then, barrier_id, lambda note: progress.update(task, note=note)
        )
    return Summary(plan.total - begun.lines, begun.lines, loop.time() - start, found)


async def _begin(plan: Plan, settings: Settings, saved: Path) -> Checkpoint:
    """Where to begin: at the first line, unless these files were interrupted in this log."""
    place = TopicPartition(USAGE_ACCEPTED, 0)
    marker = (await topics.read_markers(settings, [place]))[place]
    if marker is None:
        raise UserError(f"The topics at {settings.kafka} have no log yet: start `myaku up` first.")
    if marker.id == topics.CUT:
        raise UserError(f"The log at {settings.kafka} has lost its first records: it has a past.")
    fresh = Checkpoint(marker.id, plan.files, plan.latest_ms)
    found = checkpoint.read(saved)
    if found and msgspec.structs.replace(found, items=0, lines=0) == fresh:
        return found
    return fresh


async def _send(
    plan: Plan,
    begun: Checkpoint,
    deployment: Deployment,
    options: Options,
    keep: Callable[[Checkpoint, int], None],
) -> str:
    """Send what is left, and a barrier behind it, whose id is returned. Raises UserError."""
    settings = deployment.settings
    done = begun
    producer = kafka.producer(settings)
    await kafka.start(producer, settings)
    try:
        items = islice(await _items(plan, deployment, options, producer), begun.items, None)
        async for sent in publish(producer, items, deployment.secret_key, options.rate):
            done = msgspec.structs.replace(
                done, items=done.items + sent.items, lines=done.lines + sent.lines
            )
            keep(done, sent.time_ms)
        return await send_barrier(producer, PARTITION, deployment.secret_key)
    except (KafkaError, TimeoutError) as error:
        raise UserError(
            f"The broker at {settings.kafka} was lost after {done.lines:,} events"
            f" ({type(error).__name__}): the same command goes on from there."
        ) from error
    finally:
        await producer.stop()


async def _items(
    plan: Plan, deployment: Deployment, options: Options, producer: AIOKafkaProducer
) -> Iterator[Item]:
    if options.late:
        return plan.lines
    count = await kafka.partitions_of(producer, USAGE_EVENTS)
    return with_ticks(plan.lines, deployment.zone, count)
