"""One assigned partition: its records on their way from the poll loop to the room."""

import asyncio
from collections import deque
from collections.abc import Sequence

from aiokafka import TopicPartition

from shared.corrupt import LogEntry

QUEUE_RECORDS_MAX = 50_000
QUEUE_BYTES_MAX = 64 * 1024 * 1024


class Lane:
    """Opened when the partition is loaded, shut while it is not, closed when it is taken away."""

    def __init__(self, place: TopicPartition) -> None:
        self.place = place
        self.open = False
        self.closed = False
        self.failing_since: float | None = None  # because of the broker, on the loop's clock
        self.sound = False  # whether what the room holds is what the database has
        self.cause = "assigned"  # why it is loaded
        self.next = 0  # the offset of the next record to be fetched
        self.handled = 0  # the offset of the next record to be handled
        self.records: deque[LogEntry] = deque()
        self.bytes = 0  # of the values of these
        self.filled = asyncio.Event()
        self.ended = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.even_at = 0.0  # when all that was there had been handled, on the loop's clock
        self.clock_ms: int | None = None  # where the partition's clock was seen last

    @property
    def ready(self) -> bool:
        """Whether more records may be fetched for it."""
        full = len(self.records) >= QUEUE_RECORDS_MAX or self.bytes >= QUEUE_BYTES_MAX
        return self.open and not self.closed and not full

    def start(self, offset: int) -> None:
        """Take records from this offset on."""
        self.next = self.handled = offset
        self.open = self.sound = True
        self.failing_since = None

    def put(self, records: Sequence[LogEntry]) -> None:
        """Queue what is new; what was fetched before the position was set is not."""
        fresh = [record for record in records if record.offset >= self.next]
        if self.open and fresh:
            self.next = fresh[-1].offset + 1
            self.records.extend(fresh)
            self.bytes += sum(len(record.value or b"") for record in fresh)
            self.filled.set()

    async def take(self) -> list[LogEntry]:
        """All that arrived meanwhile; waits for the first. Empty when the lane was closed."""
        await self.filled.wait()
        self.filled.clear()
        taken = list(self.records)
        self._empty()
        return taken

    def shut(self) -> None:
        """Stop applying at once: what is queued will be read again by whoever comes next."""
        self.open = False
        self._empty()

    def _empty(self) -> None:
        self.records.clear()
        self.bytes = 0

    def close(self) -> None:
        """Shut for good, and end every wait."""
        self.shut()
        self.closed = True
        self.filled.set()
        self.ended.set()

    async def pause(self, seconds: float) -> None:
        """Wait, but not longer than until the lane is closed."""
        try:
            await asyncio.wait_for(self.ended.wait(), seconds)
        except TimeoutError:
            return
