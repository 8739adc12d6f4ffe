"""What was refused or put aside, and which of it is asked for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from shared.events import REPLAYED_HEADER, SIGNATURE_HEADER
from shared.native.decode import decode
from shared.native.refusal import Refused
from shared.times import time_ms

PUT_ASIDE = "put_aside"
CORRUPT = "corrupt_batch"
OWN_HEADERS = ("reason", "detail", "source_topic", "source_partition", "source_offset")


@dataclass(frozen=True)
class Entry:
    """A record of `usage.rejected`, or one that scoring or alerts put aside."""

    kept_in: str
    """rejected, scoring or alerts."""
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    reason: str
    detail: str
    origin: str
    """Where it stood: http:SOURCE, or TOPIC/PARTITION/OFFSET."""
    at: str | None = None
    """When it was refused; of what was put aside it is not known."""
    headers: Mapping[str, bytes] = field(default_factory=dict)
    is_repeat: bool = False
    """It was sent again before, and what it was made from is still there."""

    @property
    def position(self) -> str:
        """By what it is named."""
        return f"{self.kept_in}/{self.partition}/{self.offset}"

    @cached_property
    def body(self) -> dict[str, Any]:
        """The event, as far as it can be read."""
        try:
            return decode(self.value or b"")
        except Refused:
            return {}

    @property
    def source(self) -> str:
        """Whose event it is."""
        named = self.body.get("source")
        via = self.origin.removeprefix("http:") if self.origin.startswith("http:") else ""
        return named if isinstance(named, str) else via or self.origin.partition("/")[0]

    @property
    def signature(self) -> bytes | None:
        """What lets a record of our own in."""
        return self.headers.get(SIGNATURE_HEADER)

    @property
    def is_cut(self) -> bool:
        """Whether only its beginning was kept."""
        return "sha256" in self.headers


def refused(
    partition: int, offset: int, record: Any, starts: Mapping[int, int] | None = None
) -> Entry:
    """A record of `usage.rejected`; `starts` are the first offsets that the topic still has."""
    headers = {name: value or b"" for name, value in record.headers}
    told = {name: headers.get(name, b"").decode(errors="replace") for name in OWN_HEADERS}
    origin = told["source_topic"]
    if told["source_offset"]:
        origin = f"{origin}/{told['source_partition']}/{told['source_offset']}"
    return Entry(
        "rejected",
        partition,
        offset,
        record.key,
        record.value,
        told["reason"],
        told["detail"],
        origin,
        headers.get("rejected_at", b"").decode(errors="replace") or None,
        headers,
        is_repeat=_is_repeat(headers.get(REPLAYED_HEADER), starts or {}),
    )


def _is_repeat(replayed_from: bytes | None, starts: Mapping[int, int]) -> bool:
    kept_in, _, place = (replayed_from or b"").decode(errors="replace").partition("/")
    partition, _, offset = place.partition("/")
    if kept_in != "rejected":
        return replayed_from is not None
    known = partition.isdecimal() and offset.isdecimal() and int(partition) in starts
    return known and int(offset) >= starts[int(partition)]


@dataclass(frozen=True)
class Filters:
    """What is asked for; what is not given does not matter."""

    reasons: tuple[str, ...] = ()
    source: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    account_id: str | None = None
    event_id: str | None = None

    def match(self, entry: Entry) -> bool:
        """Whether an entry is asked for. What has no time is of no span of time."""
        return (
            (not self.reasons or entry.reason in self.reasons)
            and self._match_time(entry.at)
            and self.source in (None, entry.source)
            and (self.account_id is None or entry.body.get("account_id") == self.account_id)
            and (self.event_id is None or entry.body.get("id") == self.event_id)
        )

    def _match_time(self, at: str | None) -> bool:
        if self.since_ms is None and self.until_ms is None:
            return True
        if at is None:
            return False
        try:
            at_ms = time_ms(at)
        except ValueError:
            return False
        after = self.since_ms is None or at_ms >= self.since_ms
        return after and (self.until_ms is None or at_ms < self.until_ms)
