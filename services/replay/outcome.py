"""What became of the events: refused with which reasons, duplicates, too old."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
from aiokafka import ConsumerRecord, TopicPartition

from services.replay.deployment import Deployment
from services.replay.publish import PARTITION
from shared import kafka
from shared.barriers import is_through
from shared.events import USAGE_EVENTS, USAGE_REJECTED
from shared.runtime import UserError

POLL_SECONDS = 0.2
SILENT_SECONDS_MAX = 60


@dataclass(frozen=True)
class Counts:
    """Scoring's counters over all partitions, and the clock of the slowest."""

    duplicates: int
    too_old: int
    clock: str | None


@dataclass(frozen=True)
class Before:
    """Where all stood before anything was sent: offsets at which topics ended, and counters."""

    source: int
    rejected: dict[TopicPartition, int]
    counts: Counts


@dataclass(frozen=True)
class Outcome:
    """What became of the lines of this run."""

    refused: Counter[str]
    duplicates: int
    too_old: int


async def before(deployment: Deployment) -> Before:
    """Where all stands now. Raises UserError where scoring does not answer."""
    async with httpx2.AsyncClient(headers=deployment.headers) as client:
        counts = await _counts(client, deployment)
    if counts is None:
        raise UserError(f"Scoring at {deployment.scoring} does not answer: see `myaku status`.")
    consumer = kafka.reader(deployment.settings)
    await kafka.start(consumer, deployment.settings)
    try:
        source = TopicPartition(USAGE_EVENTS, PARTITION)
        count = await kafka.partitions_of(consumer, USAGE_REJECTED)
        rejected = [TopicPartition(USAGE_REJECTED, number) for number in range(count)]
        ends = await consumer.end_offsets([source, *rejected])
        return Before(ends.pop(source), ends, counts)
    finally:
        await consumer.stop()


async def after(
    deployment: Deployment, then: Before, barrier_id: str, say: Callable[[str], None]
) -> Outcome:
    """Wait until all before the barrier is scored and decided; what became of it.

    Raises UserError where scoring does not answer for SILENT_SECONDS_MAX.
    """
    async with httpx2.AsyncClient(headers=deployment.headers) as client:
        await _until_through(client, deployment, barrier_id, say)
        now = await _counts(client, deployment) or then.counts
    return Outcome(
        refused=await _refused(deployment, then),
        duplicates=now.duplicates - then.counts.duplicates,
        too_old=now.too_old - then.counts.too_old,
    )


async def _until_through(
    client: httpx2.AsyncClient, deployment: Deployment, barrier_id: str, say: Callable[[str], None]
) -> None:
    loop = asyncio.get_running_loop()
    answered = loop.time()
    while not await is_through(client, str(deployment.alerts), barrier_id):
        now = await _counts(client, deployment)
        if now:
            answered = loop.time()
            say(f"scored up to {now.clock[:10]}" if now.clock else "scoring has not begun")
        elif loop.time() - answered < SILENT_SECONDS_MAX:
            say("scoring does not answer")
        else:
            raise UserError(
                f"All is sent, but scoring at {deployment.scoring} has not answered for"
                f" {SILENT_SECONDS_MAX} seconds: see `myaku status`."
            )
        await asyncio.sleep(POLL_SECONDS)


async def _counts(client: httpx2.AsyncClient, deployment: Deployment) -> Counts | None:
    """Scoring's counters; None where it does not answer. Raises UserError without a good token."""
    try:
        answer = await client.get(f"{deployment.scoring}/v1/partitions")
        if answer.status_code in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
            raise UserError(f"Scoring at {deployment.scoring}: {answer.json()['detail']}")
        partitions = answer.json()["data"]
        clocks = [one["clock"] for one in partitions]
        return Counts(
            duplicates=sum(one["duplicates"] for one in partitions),
            too_old=sum(one["too_old"] for one in partitions),
            clock=None if not clocks or None in clocks else min(clocks),
        )
    except (httpx2.HTTPError, ValueError, KeyError):
        return None


async def _refused(deployment: Deployment, then: Before) -> Counter[str]:
    """How many of the lines sent since then were refused, by reason."""
    consumer = kafka.reader(deployment.settings)
    await kafka.start(consumer, deployment.settings)
    reasons: Counter[str] = Counter()
    try:
        ends = await consumer.end_offsets(list(then.rejected))
        left = {place for place, start in then.rejected.items() if start < ends[place]}
        consumer.assign(list(left))
        for place in left:
            consumer.seek(place, then.rejected[place])
        while left:
            for place, records in (await consumer.getmany(*left, timeout_ms=1000)).items():
                reasons.update(filter(None, (_reason(record, then) for record in records)))
                if records[-1].offset + 1 >= ends[place]:
                    left.discard(place)
        return reasons
    finally:
        await consumer.stop()


def _reason(record: ConsumerRecord, then: Before) -> str | None:
    """Why it was refused; None where it is none of ours."""
    headers = {name: value.decode(errors="replace") for name, value in record.headers}
    origin = headers.get("source_topic"), headers.get("source_partition")
    if origin != (USAGE_EVENTS, str(PARTITION)) or int(headers["source_offset"]) < then.source:
        return None
    return str(headers["reason"])
