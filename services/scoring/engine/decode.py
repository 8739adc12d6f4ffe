"""Records of `usage.accepted` as typed events in columns."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, islice, repeat
from sys import intern
from typing import NamedTuple

import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest

from services.scoring.engine.columns import Columns, LogRecord, joined
from services.scoring.engine.event import UNREADABLE, Event, Properties, decode_event, decoder_with
from services.scoring.engine.state import State
from services.scoring.engine.table import HashArray, IntArray, hashes_of
from shared.events import RESERVED_PREFIX, Control, Erasure, Tick, decode_control
from shared.native.event import NAME_CHARACTERS_MAX, NUL
from shared.times import time_ms


class Quarantined(NamedTuple):
    """A record that could not be used, and why."""

    offset: int
    reason: str
    value: bytes


class Record(msgspec.Struct, gc=False):
    """A control record of the log, decoded."""

    offset: int
    key: bytes | None
    value: bytes
    body: Control


@dataclass
class Batch:
    """Records of one partition, decoded."""

    events: Columns
    controls: list[tuple[int, Record]]  # each with the number of events before it
    bad: list[Quarantined]


CHUNK_RECORDS = 1_000
"""So many are decoded and hashed at a time: what they need stays in the cache."""

NUMBER_MAX = 2**31 - 1
"""Of a partition: what Kafka's protocol can carry."""

NOT_A_TIME = "times are RFC 3339 UTC with milliseconds, 24 characters"
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_RESERVED = RESERVED_PREFIX.encode()
_TIME = np.dtype({"names": ["text"], "formats": ["S23"], "itemsize": 24})  # without the Z


def decode(records: Iterable[LogRecord], state: State) -> Batch:
    """Decode records in order; what cannot be decoded is put aside.

    Of the state only the seed of its hashes is used, and which properties its plan reads: where
    another plan takes effect among the records, `advance` reads them again.
    """
    carry = state.plan.carried if state.plan else None
    left = iter(records)
    chunks = iter(lambda: list(islice(left, CHUNK_RECORDS)), [])
    return _joined(
        [_chunk(chunk, state.hash_seed, carry) for chunk in chunks]
        or [_batch([], state.hash_seed, carry, [])]
    )


def _chunk(records: list[LogRecord], seed: int, carry: Properties | None) -> Batch:
    for properties in dict.fromkeys((carry, None)):
        with suppress(*UNREADABLE):
            return _batch(records, seed, properties, [])
    if len(records) > 1:  # few are bad: whatever is good is found in large parts
        middle = len(records) // 2
        return _joined([_chunk(half, seed, carry) for half in (records[:middle], records[middle:])])
    [record] = records
    try:
        return _batch(records, seed, None, [])
    except UNREADABLE as error:
        bad = Quarantined(record.offset, str(error) or repr(error), record.value or b"")
        return _batch([], seed, carry, [bad])


def _joined(batches: Sequence[Batch]) -> Batch:
    parts = [batch.events for batch in batches]
    starts = accumulate(map(len, parts), initial=0)
    return Batch(
        joined(parts),
        [
            (start + before, record)
            for start, batch in zip(starts, batches, strict=False)
            for before, record in batch.controls
        ],
        [bad for batch in batches for bad in batch.bad],
    )


def _batch(
    records: list[LogRecord], seed: int, carry: Properties | None, bad: list[Quarantined]
) -> Batch:
    ours = _controls(records)
    controls = [(at - before, _control(records[at])) for before, at in enumerate(ours)]
    if ours:
        aside = frozenset(ours)
        records = [record for at, record in enumerate(records) if at not in aside]
    values = [record.value or b"" for record in records]
    _refuse_nul(values)
    events = list(map(decode_event if carry is None else decoder_with(carry), values))
    times = times_ms([event.time for event in events])
    own = times
    if corrected := [at for at, event in enumerate(events) if event.original_time is not None]:
        own = times.copy()
        own[corrected] = times_ms([events[at].original_time or "" for at in corrected])
    sources = [intern(event.source) for event in events]  # few, often: looked up faster
    columns = Columns(
        records=records,
        events=events,
        types=[intern(event.type) for event in events],
        sources=sources,
        times_ms=times,
        own_ms=own,
        received_ms=times_ms([event.received_at for event in events]),
        ids=_ids(events, sources, seed),
        accounts=hashes_of([event.account_id for event in events], repeat(seed)),
        users=hashes_of([event.user_id or "" for event in events], repeat(seed)),
        carry=carry,
    )
    return Batch(columns, controls, bad)


def _ids(events: list[Event], sources: list[str], seed: int) -> HashArray:
    """A keyed hash of each event's (source, id)."""
    seeds = {source: xxh3_64_intdigest(source.encode(), seed) for source in dict.fromkeys(sources)}
    by_source: Iterable[int] = map(seeds.__getitem__, sources)
    if len(seeds) == 1:
        by_source = repeat(*seeds.values())
    return hashes_of([event.id for event in events], by_source)


def _controls(records: list[LogRecord]) -> list[int]:
    """The positions of the control records: most batches have none, or a few."""
    keys = [record.key or b"" for record in records]
    if _RESERVED not in b"\n".join(keys):
        return []
    return [at for at, key in enumerate(keys) if key.startswith(_RESERVED)]


def _refuse_nul(values: Sequence[bytes]) -> None:
    text = b"\n".join(values)
    if b"\\" in text and rb"\u0000" in text and any(map(_NUL.search, values)):  # the first is quick
        raise msgspec.ValidationError("NUL cannot be kept")


def _control(record: LogRecord) -> Record:
    value = record.value or b""
    body: Control = decode_control(value)
    if isinstance(body, Tick | Erasure):
        _check(body)
    return Record(record.offset, record.key, value, body)


def _check(body: Tick | Erasure) -> None:
    """Raises ValueError where a control record has what nobody can read, or keep."""
    times, names = [body.time], []
    if isinstance(body, Tick):
        times += body.sources.values()
        names += [*body.sources, *body.rejected]
        if not all(
            0 <= each <= NUMBER_MAX for each in (body.source_partition, body.source_partitions)
        ):
            raise ValueError("no source partition has such a number")
    else:
        names.append(body.user_id)
    times_ms(times)
    for time in times:
        time_ms(time)  # which knows fewer years
    if any(not 1 <= len(name) <= NAME_CHARACTERS_MAX or NUL in name for name in names):
        raise ValueError(f"names have 1 to {NAME_CHARACTERS_MAX} characters, and no NUL")


def times_ms(texts: Sequence[str]) -> IntArray:
    """RFC 3339 UTC times with milliseconds, as milliseconds since 1970. Raises ValueError."""
    joined, count = "".join(texts), len(texts)
    marks = joined[10::24], joined[23::24]
    if set(map(len, texts)) - {24} or marks != ("T" * count, "Z" * count):
        raise ValueError(NOT_A_TIME)
    parsed = np.frombuffer(joined.encode("ascii"), _TIME)["text"].astype("datetime64[ms]")
    return parsed.astype(np.int64)
