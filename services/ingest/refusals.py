"""How many events of each source this process has refused since its last tick told of them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.events import SOURCES_MAX, USAGE_EVENTS
from shared.native.event import name_fault


class Refusals:
    """Counts by source, from the log and over HTTP, until a tick takes them with it."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def note(self, source: str, count: int = 1) -> None:
        """So many events of the source were refused."""
        if count and (source in self.counts or len(self.counts) < SOURCES_MAX):
            self.counts[source] = self.counts.get(source, 0) + count

    def take(self) -> dict[str, int]:
        """What a tick is to tell."""
        taken, self.counts = self.counts, {}
        return taken

    def give_back(self, taken: Mapping[str, int]) -> None:
        """The tick was not written."""
        for source, count in taken.items():
            self.note(source, count)


class _Head(msgspec.Struct):
    source: Any = None


_decode_head = msgspec.json.Decoder(_Head).decode


def source_of(value: bytes | None, default: str = USAGE_EVENTS) -> str:
    """The source that a refused event names; `default` where it cannot be read."""
    try:
        source = _decode_head(value or b"").source
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return default
    return default if name_fault(source) else str(source)
