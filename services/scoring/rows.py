"""A step's effects as rows: for each table, the columns to write. Pure."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from services.scoring.engine.effects import Effects
from services.scoring.engine.score import NO_SCORE
from services.scoring.engine.state import ActiveDays, DaySets, SignalState, State
from services.scoring.engine.sums import DaySums
from services.scoring.engine.table import FloatArray, IntArray, distinct
from services.scoring.tables import backfill, erased, freshness, published, success, users
from services.scoring.tables.backfill import BackfillRows
from services.scoring.tables.erased import ErasedRows
from services.scoring.tables.partition import Columns, columns_of
from services.scoring.tables.published import PublishedRows
from services.scoring.tables.users import UserRows
from shared.configuration import HORIZON_DAYS
from shared.events import encode

Outgoing = dict[str, list[tuple[bytes, bytes]]]
"""What goes out: topic → (key, value) records in order; one topic after the other."""


@dataclass(frozen=True)
class Rows:
    """What a commit writes. None is what did not change, as opposed to what is empty now."""

    partition: int
    number: int
    clock: str
    counted: int
    duplicates: int
    too_old: int
    configuration: Columns | None
    signals: Columns | None
    accounts: Columns
    facts: Columns
    facts_gone: Columns
    day_sums: Columns
    day_sets: Columns
    active_days: Columns
    published: PublishedRows
    erased: ErasedRows
    backfill: BackfillRows
    users: UserRows
    history: Columns
    freshness: freshness.Rows
    success: success.SuccessRows
    seen: Columns
    held: Columns
    released_days: list[int]
    outbox: bytes | None
    quarantined: Columns
    oldest_day: int | None  # what is older has left the horizon; None if no day was closed


def rows_of(state: State, effects: Effects) -> Rows:
    """What the step that ended in this state has to write."""
    known = [at for at in sorted(effects.facts) if at[1] in state.accounts.facts[at[0]]]
    return Rows(
        partition=state.partition,
        number=effects.number,
        clock=_clock(state),
        counted=effects.events,
        duplicates=effects.duplicates,
        too_old=effects.too_old,
        configuration=columns_of(_configuration(state)) if effects.config_changed else None,
        signals=columns_of(_signals(state)) if effects.plan_changed else None,
        accounts=columns_of(_accounts(state, effects)),
        facts=columns_of(_facts(state, known)),
        facts_gone=columns_of(effects.facts.difference(known)),
        day_sums=_day_sums(state, effects),
        day_sets=_day_sets(state, effects),
        active_days=_active_days(state, effects),
        published=published.rows(state, effects),
        erased=erased.rows(state, effects),
        backfill=backfill.rows(state, effects),
        users=users.rows(state, effects),
        history=columns_of(_history(effects)),
        freshness=freshness.rows(state, effects.sources),
        success=success.rows(state, effects),
        seen=columns_of(
            (bucket, effects.number, np.concatenate(hashes).astype("<u8").tobytes())
            for bucket, hashes in effects.seen.items()
        ),
        held=columns_of(held for held in effects.held if held.day in state.held),
        released_days=effects.released_days,
        outbox=pack(effects.outgoing) if effects.outgoing else None,
        quarantined=columns_of(effects.quarantined),
        oldest_day=state.day - HORIZON_DAYS if effects.closed else None,
    )


def _clock(state: State) -> str:
    kept = {"clock": state.clock, "next_number": state.next_number}
    kept |= {"next_signal_no": state.next_signal_no, "ranked": state.users.ranked}
    return encode(kept).decode()


def _configuration(state: State) -> Iterator[Sequence[Any]]:
    for place, record in (("active", state.active_config), ("next", state.next_config)):
        if record is not None:
            yield place, record


def _signals(state: State) -> Iterator[Sequence[Any]]:
    assert state.plan is not None
    for signal, kept in zip(state.plan.signals, state.signals, strict=True):
        yield kept.signal_no, signal.definition, kept.since_day


def _accounts(state: State, effects: Effects) -> Iterator[Sequence[Any]]:
    accounts = state.accounts
    for account in sorted(effects.accounts):
        yield account, accounts.ids[account], int(accounts.created_days[account])


def _facts(state: State, known: list[tuple[int, str]]) -> Iterator[Sequence[Any]]:
    for account, name in known:
        fact = state.accounts.facts[account][name]
        yield account, name, fact.time_ms, fact.event_id, encode(fact.value).decode()


def _touched(
    state: State, touched: Iterable[tuple[int, IntArray]]
) -> Iterator[tuple[SignalState, IntArray]]:
    """The signals that the plan still has, each with the distinct numbers given for it."""
    kept = {signal.signal_no: signal for signal in state.signals}
    by_signal: dict[int, list[IntArray]] = {}
    for signal_no, numbers in touched:
        by_signal.setdefault(signal_no, []).append(numbers)
    for signal_no, parts in by_signal.items():
        if signal_no in kept:
            yield kept[signal_no], distinct(np.concatenate(parts))


def _day_sums(state: State, effects: Effects) -> Columns:
    count = max(1, state.accounts.count)
    cells = [(signal_no, days * count + at) for signal_no, at, days in effects.sums]
    columns: Columns = [[], [], [], []]
    for kept, numbers in _touched(state, cells):
        assert isinstance(kept, DaySums)
        days, accounts = np.divmod(numbers, count)
        inside = days >= state.day - HORIZON_DAYS
        days, accounts = days[inside], accounts[inside]
        for day in distinct(days).tolist():
            own = accounts[days == day]
            sums = kept.at(day, state.day, own)
            _extend(columns, kept.signal_no, np.full(len(own), day), own, sums)
    return columns if columns[0] else []


def _day_sets(state: State, effects: Effects) -> Columns:
    columns: Columns = [[], [], [], [], [], []]
    for kept, things in _touched(state, effects.things):
        assert isinstance(kept, DaySets)
        hashes, low, high = (
            words[things].view(np.int64) for words in (kept.things.hashes, kept.low, kept.high)
        )
        at_day = np.full(len(things), state.day)
        _extend(columns, kept.signal_no, kept.owners[things], hashes, at_day, low, high)
    return columns if columns[0] else []


def _active_days(state: State, effects: Effects) -> Columns:
    columns: Columns = [[], [], [], [], [], [], [], []]
    for kept, at in _touched(state, effects.active_days):
        assert isinstance(kept, ActiveDays)
        low, high = kept.low[at].view(np.int64), kept.high[at].view(np.int64)
        at_day = np.full(len(at), state.day)
        registers = kept.first[at], kept.last[at], kept.faded[at]
        _extend(columns, kept.signal_no, at, at_day, low, high, *registers)
    return columns if columns[0] else []


def _extend(columns: Columns, signal_no: int, *arrays: IntArray | FloatArray) -> None:
    columns[0].extend([signal_no] * len(arrays[0]))
    for column, array in zip(columns[1:], arrays, strict=True):
        column.extend(array.tolist())


def _history(effects: Effects) -> Iterator[Sequence[Any]]:
    for rows in effects.history:
        columns = rows.accounts, rows.tenths, rows.coverage, rows.headings, rows.stale
        for account, tenths, coverage, number, is_stale in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            card, revision, band = rows.known[number]
            scored = None if tenths == NO_SCORE else tenths
            yield account, rows.day, scored, band, coverage, card, revision, is_stale


def pack(records: Outgoing) -> bytes:
    """Outbox records as one value."""
    return zlib.compress(msgspec.msgpack.encode(records), 1)


def unpack(packed: bytes) -> Outgoing:
    """The records of an outbox row."""
    return msgspec.msgpack.decode(zlib.decompress(packed), type=Outgoing)
