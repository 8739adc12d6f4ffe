"""A source partition of this worker: its next live tick, and what it tells of sources."""

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest import store
from services.ingest.ticks import Ticker
from shared.database import snapshot, transaction
from shared.events import SOURCES_MAX
from shared.times import time_ms

KEPT_EVERY_MS = 60_000
"""A newest event time is kept in the tables when it has moved on by so much."""


class Owned:
    """A source partition while it is ours."""

    def __init__(self) -> None:
        self.ticker = Ticker()
        self.next: int | None = None  # the offset of the next record to be handled, once known
        self.behind = 0  # records in the log not yet handled
        self.sources: dict[str, str] = {}
        self.remembered = False  # what earlier owners kept is among them
        self.kept: dict[str, str] = {}

    def note(self, source: str, time: str) -> None:
        """An event of the source was accepted."""
        if source in self.sources or len(self.sources) < SOURCES_MAX:
            self.sources[source] = max(self.sources.get(source, ""), time)

    def to_keep(self) -> dict[str, str]:
        """The sources whose newest event times have moved on since they were kept."""
        return {
            source: time
            for source, time in self.sources.items()
            if source not in self.kept
            or time_ms(time) - time_ms(self.kept[source]) >= KEPT_EVERY_MS
        }


async def keep_sources(database: AsyncEngine, partition: int, owned: Owned) -> None:
    """Keep what the next owner has to know, before the offsets are committed."""
    if moved := owned.to_keep():
        async with transaction(database) as connection:
            await store.save_sources(connection, partition, moved)
        owned.kept |= moved


async def remember_sources(database: AsyncEngine, partition: int, owned: Owned) -> None:
    """Before the first tick: what the owners before us kept."""
    if owned.remembered:
        return
    async with snapshot(database) as connection:
        for source, time in await store.sources_of(connection, partition):
            owned.note(source, time)
    owned.remembered = True
