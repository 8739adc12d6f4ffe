"""One batch of one partition: read it, decide, save it, and wake whoever delivers."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.decide import decide
from services.alerts.load import load, load_accounts
from services.alerts.records import Quarantined, decode
from services.alerts.state import Effects, State
from services.alerts.store import save, save_log, save_partitions
from shared import metrics, rehearsal
from shared.corrupt import LogEntry, apart
from shared.database import transaction
from shared.events import Marker
from shared.log_identity import recognise
from shared.offsets import Claim, advance, claim
from shared.runtime import log
from shared.times import iso_time

COMMIT_RECORDS_MAX = 4_000
"""A commit holds what arrived while the one before was running, up to this."""


class Alerts:
    """The alerts room of the consumer loop: of a partition it holds nothing but the claim."""

    def __init__(
        self,
        database: AsyncEngine,
        *,
        owner: str,
        deliver_history: bool,
        wake: Callable[[], None],
    ) -> None:
        self.database = database
        self.owner = owner
        self.deliver_history = deliver_history
        self.wake = wake
        self.claims: dict[int, Claim] = {}
        self.clocks_ms: dict[int, int | None] = {}
        self.thread = ThreadPoolExecutor(1, "rules")

    async def load(self, partition: int, marker: Marker | None) -> int:
        """Claim a partition; the next offset."""
        async with transaction(self.database) as connection:
            marker = await recognise(connection, "alerts", partition, marker)
            held = await claim(connection, "alerts", partition, marker.id, self.owner)
            await save_partitions(connection, partition, marker.partitions)
            state = await load_accounts(connection, partition, ())
        rehearsal.reach("load")
        self.claims[partition] = held
        self.clocks_ms[partition] = state.clock_ms
        return held.next

    async def handle(self, partition: int, records: Sequence[LogEntry]) -> None:
        """Handle records, in one transaction or, when they are many, in several."""
        for start in range(0, len(records), COMMIT_RECORDS_MAX):
            await self._commit(partition, records[start : start + COMMIT_RECORDS_MAX])

    async def _commit(self, partition: int, records: Sequence[LogEntry]) -> None:
        whole, corrupt = apart(records)
        raw = [(record.offset, record.key, record.value) for record in whole]
        run = partial(asyncio.get_running_loop().run_in_executor, self.thread)
        entries, bad = await run(decode, raw)
        bad += [Quarantined(each.offset, each.reason, b"") for each in corrupt]
        held = self.claims[partition]
        rehearsal.reach("alerts.before-fence")
        # What is loaded is loaded behind the fence, whose lock users' acts wait for too: nobody
        # else can change it before the commit.
        with metrics.COMMIT_SECONDS.time():
            async with transaction(self.database) as connection:
                moved = await advance(connection, held, records[-1].offset + 1)
                rehearsal.reach("alerts.after-fence")
                state = await load(connection, partition, entries)
                effects = await run(
                    partial(decide, state, entries, deliver_history=self.deliver_history)
                )
                await save(connection, state, effects)
                place = (partition, held.log_id)
                await save_log(connection, place, effects.barriers, bad)
                rehearsal.reach("alerts.before-commit")
        rehearsal.reach("alerts.after-commit")
        self.claims[partition] = moved
        self.clocks_ms[partition] = state.clock_ms
        if any(note.way != "record" for note in effects.notifications):
            self.wake()
        _count(state, effects, bad)

    def clock(self, partition: int) -> tuple[int | None, str]:
        """Where the partition's clock stands, and whose ticks it waits for."""
        return self.clocks_ms[partition], f"scoring sends no tick of partition {partition}"

    def drop(self, partition: int) -> None:
        """Forget the claim."""
        self.claims.pop(partition, None)
        self.clocks_ms.pop(partition, None)


def _count(state: State, effects: Effects, bad: Sequence[Quarantined]) -> None:
    metrics.COMMITS.inc()
    metrics.RECORDS.labels(kind="health.changes").inc(effects.handled)
    metrics.DUPLICATES.inc(effects.repeated)
    metrics.QUARANTINED.inc(len(bad))
    partition = str(state.partition)
    for one in bad:
        log.error("record put aside", partition=partition, offset=one.offset, reason=one.reason)
    for event in effects.events:
        metrics.ALERTS.labels(change=event.what).inc()
    if state.clock_ms is not None:
        log.debug("committed", partition=partition, clock=iso_time(state.clock_ms))
