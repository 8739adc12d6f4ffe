"""When a source partition's next live tick may be written. Pure.

A tick says that everything its source partition held at a time is in `usage.accepted`. So the
time is taken first, then a high watermark that the broker told after it, and then all below that
must have been acknowledged.
"""

from dataclasses import dataclass

MINUTE_MS = 60_000


@dataclass(frozen=True)
class Progress:
    """How far the log and its reader are: `answered` changes with every answer to a fetch."""

    answered: int | None
    highwater: int | None
    position: int


class Ticker:
    """The live ticks of one owned source partition: at once, then at every whole minute."""

    def __init__(self) -> None:
        self.written_ms: int | None = None
        self.taken_ms: int | None = None
        self._answered_before: int | None = None
        self._watermark: int | None = None

    def due(self, now_ms: int, progress: Progress) -> int | None:
        """The time of the tick that may be written now, if one may."""
        if self.taken_ms is None and not self._take(now_ms, progress.answered):
            return None
        if self._watermark is None and progress.answered != self._answered_before:
            self._watermark = progress.highwater
        if self._watermark is None or progress.position < self._watermark:
            return None
        return self.taken_ms

    def _take(self, now_ms: int, answered: int | None) -> bool:
        # Every time zone's midnight is a whole minute: docs/decisions/0001.
        time_ms = now_ms if self.written_ms is None else now_ms - now_ms % MINUTE_MS
        if self.written_ms is not None and time_ms <= self.written_ms:
            return False
        self.taken_ms, self._answered_before, self._watermark = time_ms, answered, None
        return True

    def written(self) -> None:
        """The tick that was due is acknowledged."""
        self.written_ms, self.taken_ms = self.taken_ms, None
