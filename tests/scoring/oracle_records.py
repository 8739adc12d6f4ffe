"""The oracle's records: times, partitions, what cannot be used, and the facts of an event."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SUBSCRIPTION_FIELDS = ("mrr", "currency", "seats", "renews_on")
ALWAYS = (
    *("name", "mrr", "arr", "currency", "seats", "employees", "size", "plan", "stage", "tier"),
    *("csm", "backup_csm", "renews_on", "renewal_stage", "onboarding_started_on", "excluded"),
    "closed",
)
SUBSCRIPTION_EVENTS = ("started", "renewed", "expanded", "contracted", "cancelled")


def milliseconds(text: str) -> int:
    """An RFC 3339 time as milliseconds since 1970."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)


def rfc3339(instant: int) -> str:
    """Milliseconds since 1970 as an RFC 3339 time."""
    moment = EPOCH + timedelta(milliseconds=instant)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant % 1000:03d}Z"


def partition_of(account_id: str, partitions: int) -> int:
    """Where Kafka's murmur2 puts an account."""
    data = account_id.encode()
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    while len(data) >= 4:
        k = int.from_bytes(data[:4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
        data = data[4:]
    if data:
        h = (h ^ int.from_bytes(data, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return ((h ^ h >> 15) & 0x7FFFFFFF) % partitions


def decode(value: bytes, partition: int, partitions: int) -> dict[str, Any] | None:
    """A record of the partition, or None for what has to be put aside."""
    try:
        record: dict[str, Any] = json.loads(value)
        if record["type"].startswith("myaku.") or record["type"] == "user.erased":
            return record
        for name in ("time", "received_at", "original_time"):
            milliseconds(record.get(name) or record["time"])
        texts = (record["id"], record["source"], record["received_at"])
        usable = all(isinstance(text, str) for text in texts)
        usable = usable and isinstance(record["properties"], dict)
        belongs = partition_of(record["account_id"], partitions) == partition
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if usable and belongs else None


def profile_facts(event: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The profile fields that an event sets; null deletes one."""
    kind, properties = event["type"], event["properties"]
    if kind == "account.updated":
        yield from properties.items()
    if kind == "account.closed":
        yield "closed", True
    if kind in [f"subscription.{what}" for what in SUBSCRIPTION_EVENTS]:
        yield from [(name, properties[name]) for name in SUBSCRIPTION_FIELDS if name in properties]
    if kind in ("subscription.started", "subscription.renewed"):
        yield "closed", False


def has_room(known: list[str], name: str) -> bool:
    """Whether an account may have a profile field of a name."""
    return name in known or name in ALWAYS or len(known) < 200


def is_short(name: str, value: Any) -> bool:
    """Whether a profile field takes no more than 1,000 bytes."""
    texts = (json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in (name, value))
    return sum(len(text.encode()) for text in texts) <= 1000
