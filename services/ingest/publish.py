"""Publishing: what was decided goes to its partitions, and is acknowledged before this returns."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from hashlib import sha256
from typing import Any

from aiokafka import AIOKafkaProducer

from services.ingest.accept import Refused, Rejected
from shared.events import (
    REPLAYED_HEADER,
    SIGNATURE_HEADER,
    USAGE_ACCEPTED,
    USAGE_EVENTS,
    USAGE_REJECTED,
)
from shared.kafka import Record, partition_of, send_in_order
from shared.log_identity import other_count
from shared.times import iso_time

VALUE_BYTES_MAX = 900_000
KEY_BYTES_MAX = 10_000
"""What a broker takes by default is 1 MiB, with the headers and all."""

DETAIL_CHARACTERS_MAX = 500


class Publisher:
    """Sends to the two topics; `partitions` is the number that `usage.accepted` has."""

    def __init__(self, producer: AIOKafkaProducer, partitions: int, rejected: int) -> None:
        self.producer = producer
        self.partitions = partitions
        self.rejected_partitions = rejected

    async def check_partitions(self) -> None:
        """Raises UserError where partitions were added, as the newest metadata says."""
        known = await self.producer.partitions_for(USAGE_ACCEPTED)
        if len(known) > self.partitions:
            raise other_count(USAGE_ACCEPTED, len(known), self.partitions)

    async def send(
        self,
        accepted: Iterable[tuple[str | None, bytes, bytes]],
        rejected: Iterable[Rejected] = (),
        rejected_ms: int = 0,
    ) -> None:
        """Send to all partitions at once, to each in order. Raises KafkaError or TimeoutError.

        All sends have ended when it raises, so that none can overtake what is sent again.
        """
        sends: list[Coroutine[Any, Any, None]] = [
            send_in_order(self.producer, USAGE_ACCEPTED, partition, records)
            for partition, records in self._spread(accepted).items()
        ]
        refused: dict[int, list[Record]] = defaultdict(list)
        for one in rejected:
            refused[one.record.partition % self.rejected_partitions].append(
                rejected_record(one, rejected_ms)
            )
        sends += [
            send_in_order(self.producer, USAGE_REJECTED, partition, records)
            for partition, records in refused.items()
        ]
        faults = [end for end in await asyncio.gather(*sends, return_exceptions=True) if end]
        if faults:
            raise faults[0]

    def _spread(
        self, accepted: Iterable[tuple[str | None, bytes, bytes]]
    ) -> dict[int, list[Record]]:
        """By partition; a record without an account goes to every one."""
        records: dict[int, list[Record]] = defaultdict(list)
        everywhere = range(self.partitions)
        place: dict[str, int] = {}
        for account_id, key, value in accepted:
            if account_id is None:
                for partition in everywhere:
                    records[partition].append((key, value, []))
                continue
            if account_id not in place:
                place[account_id] = partition_of(account_id, self.partitions)
            records[place[account_id]].append((key, value, []))
        return records


def rejected_record(rejected: Rejected, rejected_ms: int) -> Record:
    """A record of the log that is refused."""
    record = rejected.record
    origin = {
        "source_topic": USAGE_EVENTS,
        "source_partition": str(record.partition),
        "source_offset": str(record.offset),
    }
    key, value, headers = refused_record(
        record.key, record.value, rejected.refused, origin, rejected_ms
    )
    kept = {SIGNATURE_HEADER: record.signature, REPLAYED_HEADER: record.replayed_from}
    headers += [(name, told[:KEY_BYTES_MAX]) for name, told in kept.items() if told is not None]
    return key, value, headers


def refused_record(
    key: bytes | None,
    value: bytes | None,
    refused: Refused,
    origin: dict[str, str],
    rejected_ms: int,
) -> Record:
    """What is refused as it came, with the reason; cut, with its sha256, where it is too large."""
    headers = {
        "reason": refused.reason,
        "detail": refused.detail[:DETAIL_CHARACTERS_MAX],
        **origin,
        "rejected_at": iso_time(rejected_ms),
    }
    if value is not None and len(value) > VALUE_BYTES_MAX:
        headers["sha256"] = sha256(value).hexdigest()
        value = value[:VALUE_BYTES_MAX]
    key = key if key is None else key[:KEY_BYTES_MAX]
    encoded = [(name, text.encode(errors="replace")) for name, text in headers.items()]
    return key, value, encoded
