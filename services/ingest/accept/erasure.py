"""People who were erased: what they were known by is kept as a keyed hash only."""

from shared.events import Erasure
from shared.native.event import Event


class Erased:
    """When those of the users at hand who were erased were, and the erasures of a batch."""

    def __init__(self, times: dict[str, str] | None = None) -> None:
        self._times = times or {}
        self.new: list[Erasure] = []

    def erase(self, erasure: Erasure) -> None:
        """Somebody is erased."""
        known = self._times.get(erasure.user_id, "")
        self._times[erasure.user_id] = max(known, erasure.time)
        self.new.append(erasure)

    def covers(self, event: Event) -> bool:
        """Whether the event is of before its user's erasure."""
        return isinstance(event.user_id, str) and event.time <= self._times.get(event.user_id, "")
