"""A room as the loop sees it, counting what happens to it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from aiokafka import ConsumerRecord

from shared.events import Marker
from shared.loop import Room
from shared.offsets import Fenced


class Watched:
    """Passes everything on to a room."""

    def __init__(self, room: Room, held: dict[int, Any], sometimes: Counter[str]) -> None:
        self.room = room
        self.held = held
        self.sometimes = sometimes
        self.clock = room.clock
        self.drop = room.drop

    async def load(self, partition: int, marker: Marker | None) -> int:
        """Load, or use what is held again."""
        before = self.held.get(partition)
        try:
            offset = await self.room.load(partition, marker)
        except Fenced:
            self.sometimes["loads ended by a new epoch"] += 1
            raise
        reused = before is not None and self.held.get(partition) is before
        self.sometimes["states used again" if reused else "loads"] += 1
        return offset

    async def handle(self, partition: int, records: Sequence[ConsumerRecord]) -> None:
        """Handle a batch."""
        try:
            await self.room.handle(partition, records)
        except Fenced:
            self.sometimes["fenced commits"] += 1
            raise
        except Exception:
            self.sometimes["batches failed"] += 1
            raise
        self.sometimes["batches"] += 1
