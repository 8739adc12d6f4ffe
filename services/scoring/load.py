"""Loading a partition: its rows, read in one moment, as the engine's state."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any

import msgspec
import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scoring.engine.accounts import account_hashes, append_accounts
from services.scoring.engine.active_days import turned
from services.scoring.engine.classes import Classes
from services.scoring.engine.compile import compile_plan
from services.scoring.engine.days import turned_bits
from services.scoring.engine.dedupe import DAYS_IN_USE, OWN, RECEIPT, bucket
from services.scoring.engine.evaluate import evaluate
from services.scoring.engine.facts import LATEST, refresh_profile
from services.scoring.engine.hashes import HashSet
from services.scoring.engine.open_keys import remember_keys
from services.scoring.engine.overrides import OVERRIDE, refresh_override
from services.scoring.engine.parts import keep_parts
from services.scoring.engine.published import Heading
from services.scoring.engine.replan import new_signal
from services.scoring.engine.score import NO_SCORE
from services.scoring.engine.state import (
    RING_DAYS,
    SCORES_RING_DAYS,
    ActiveDays,
    Clock,
    DaySets,
    Fact,
    Held,
    Latest,
    OpenKeys,
    SignalState,
    State,
)
from services.scoring.engine.success.onboarding import follow
from services.scoring.engine.sums import DaySums
from services.scoring.engine.table import distinct
from services.scoring.engine.users.state import UserDays
from services.scoring.engine.windows import recount
from services.scoring.rows import Outgoing, unpack
from services.scoring.tables import backfill, erased, freshness, published, success, users
from services.scoring.tables.partition import Reader
from shared.configuration import HORIZON_DAYS
from shared.events import Config, decode_control
from shared.offsets import Claim, confirm


class _Clock(msgspec.Struct):
    """What `scoring.partition.clock` holds; empty before the first commit."""

    clock: Clock = msgspec.field(default_factory=Clock)
    next_number: int = 0
    next_signal_no: int = 1
    ranked: bool = False


@dataclass
class Loaded:
    """A partition's state, and what of its outbox the log may not have yet."""

    state: State
    outbox: list[tuple[int, Outgoing]]  # (number, records), ascending
    relayed_log_id: str


async def load(connection: AsyncConnection, held: Claim) -> Loaded:
    """Read a partition inside one snapshot. Raises Fenced when the claim no longer stands."""
    await confirm(connection, held)
    reader = Reader(connection, held.partition)
    row = (await reader.rows("partition", "hash_seed, clock::text, relayed_log_id"))[0]
    saved = msgspec.json.decode(row.clock, type=_Clock)
    state = State(held.partition, row.hash_seed, clock=saved.clock, next_number=saved.next_number)
    state.next_signal_no, state.users.ranked = saved.next_signal_no, saved.ranked
    await _load_plan(reader, state)
    if state.plan is not None:
        await _load_accounts(reader, state)
        await _load_signals(reader, state)
        await users.load(reader, state)
        await published.load(reader, state)
        await erased.load(reader, state)
        await backfill.load(reader, state, held.log_id)
        await _load_history(reader, state)
        await freshness.load(reader, state)
        await success.load(reader, state)
        await load_seen(connection, state, _buckets_in_use(state))
        await _load_receipts(reader, state)
    columns = "day, number, key, value, log_offset"
    for one in starmap(Held, await reader.rows("held", columns, "number")):
        state.held.setdefault(one.day, []).append(one)
    _finish(state)
    outbox = await reader.rows("outbox", "number, records", "number")
    return Loaded(
        state, [(number, unpack(packed)) for number, packed in outbox], row.relayed_log_id
    )


async def _load_plan(reader: Reader, state: State) -> None:
    configs = dict(await reader.rows("configuration", "place, record"))
    state.active_config, state.next_config = configs.get("active"), configs.get("next")
    if state.active_config is None:
        return
    config = decode_control(state.active_config)
    assert isinstance(config, Config)
    plan = state.plan = compile_plan(config.document)
    known = {row.definition: row for row in await reader.rows("signal", "*")}
    for signal in plan.signals:
        row = known[signal.definition]
        state.signals.append(new_signal(signal, row.signal_no, row.since_day, 0))
    state.classes = Classes(plan)
    state.profile_numbers = np.full((len(plan.profile_numbers), 16), np.nan)
    state.profile_matches = np.zeros((len(plan.conditions), 16), bool)
    keep_parts(state, ())
    follow(state, None)
    for number, kept in enumerate(state.signals):
        if isinstance(kept, DaySets | UserDays):
            kept.counts = {at: np.zeros(16, np.int64) for at in plan.windows_of(number)}


async def _load_accounts(reader: Reader, state: State) -> None:
    rows = await reader.rows("account", "account_no, account_id, created_day")
    ids = [row.account_id for row in rows]
    state.accounts.table.add(account_hashes(state, ids))
    append_accounts(state, ids, np.array([row.created_day for row in rows], dtype=np.int64))
    state.accounts.news[: len(rows)] = False
    columns = "account_no, name, time_ms, event_id, value::text"
    for account, name, time_ms, event_id, value in await reader.rows("fact", columns):
        fact = Fact(time_ms, event_id, msgspec.json.decode(value))
        state.accounts.facts[account][name] = fact
        if name == OVERRIDE:
            refresh_override(state, account)


async def _load_signals(reader: Reader, state: State) -> None:
    by_number: dict[str, dict[int, list[Any]]] = {}
    for table, columns in (
        ("day_sum", "signal_no, day, account_no, value"),
        ("day_set", "signal_no, account_no, thing, at_day, low, high"),
        ("active_day", "signal_no, account_no, at_day, low, high, first_day, last_day, faded"),
    ):
        grouped = by_number[table] = defaultdict(list)
        for row in await reader.rows(table, columns):
            grouped[row.signal_no].append(row[1:])
    for kept in state.signals:
        _fill(state, kept, by_number)


def _fill(state: State, kept: SignalState, rows: dict[str, dict[int, list[Any]]]) -> None:
    if isinstance(kept, DaySums):
        _fill_sums(state, kept, rows["day_sum"][kept.signal_no])
    elif isinstance(kept, DaySets):
        _fill_sets(state, kept, rows["day_set"][kept.signal_no])
    elif isinstance(kept, ActiveDays):
        _fill_active_days(state, kept, rows["active_day"][kept.signal_no])
    elif isinstance(kept, OpenKeys):
        remember_keys(state, kept)
    elif isinstance(kept, Latest):
        _fill_latest(state, kept)


def _fill_sums(state: State, kept: DaySums, rows: Sequence[Any]) -> None:
    assert state.plan is not None
    if rows:
        days, accounts, sums = map(np.array, zip(*rows, strict=True))
        for day in distinct(days).tolist():
            if day >= state.day - HORIZON_DAYS:
                kept.fill(day, state.day, accounts[days == day], sums[days == day])


def _fill_sets(state: State, kept: DaySets, rows: Sequence[Any]) -> None:
    alive = [row for row in rows if row[2] > state.day - RING_DAYS]
    if not alive:
        return
    owners, things, days, low, high = (np.array(column) for column in zip(*alive, strict=True))
    kept.things.add(things.astype(np.int64).view(np.uint64))
    kept.owners = owners
    kept.low, kept.high = low.view(np.uint64), high.view(np.uint64)
    for at_day in np.unique(days).tolist():
        keep_low, keep_high = turned_bits(at_day, state.day)
        written = days == at_day
        kept.low[written] &= keep_low
        kept.high[written] &= keep_high


def _fill_active_days(state: State, kept: ActiveDays, rows: Sequence[Any]) -> None:
    if not rows:
        return
    at, days, low, high, first, last, faded = map(np.array, zip(*rows, strict=True))
    low, high = low.view(np.uint64), high.view(np.uint64)
    for at_day in np.unique(days).tolist():
        written = days == at_day
        keep_low, keep_high = turned_bits(at_day, state.day)
        words = low[written], high[written]
        faded[written] = turned(*words, faded[written], at_day, state.day)
        low[written], high[written] = words[0] & keep_low, words[1] & keep_high
    kept.low[at], kept.high[at], kept.faded[at] = low, high, faded
    kept.first[at], kept.last[at] = first, last


def _fill_latest(state: State, kept: Latest) -> None:
    assert state.plan is not None
    name = LATEST + str(kept.signal_no)
    for account, facts in enumerate(state.accounts.facts):
        if fact := facts.get(name):
            kept.values[account] = fact.value
            kept.days[account] = state.plan.calendar.day_of(fact.time_ms)


async def _load_history(reader: Reader, state: State) -> None:
    """The newest row of each account, and the scores of the last closes."""
    accounts = state.accounts
    oldest = state.day - SCORES_RING_DAYS
    for account, day, tenths, coverage, *heading, stale in await _history_rows(reader, oldest):
        score = NO_SCORE if tenths is None else tenths
        number = state.published.heading_number(Heading(*heading))
        accounts.history[account] = score, coverage, number, stale
        days = np.arange(max(day, oldest), state.day)
        accounts.closed_tenths[account, days % SCORES_RING_DAYS] = score


async def _history_rows(reader: Reader, oldest: int) -> Sequence[Any]:
    columns = "account_no, day, score_tenths, coverage_hundredths, scorecard, revision, band, stale"
    sql = (
        f"SELECT {columns} FROM scoring.history WHERE partition = $1 AND day > $2"
        f" UNION ALL SELECT l.* FROM scoring.account a CROSS JOIN LATERAL"
        f" (SELECT {columns} FROM scoring.history h WHERE h.partition = $1"
        " AND h.account_no = a.account_no AND h.day <= $2 ORDER BY day DESC LIMIT 1) l"
        " WHERE a.partition = $1 ORDER BY account_no, day"
    )
    result = await reader.connection.exec_driver_sql(sql, (reader.partition, oldest))
    return result.all()


def _buckets_in_use(state: State) -> list[int]:
    return [bucket(state.day - back, OWN) for back in range(-1, DAYS_IN_USE + 1)]


async def load_seen(connection: AsyncConnection, state: State, buckets: list[int]) -> None:
    """Bring buckets of deduplication hashes into memory; what has no rows is empty."""
    if not buckets:
        return
    sql = "SELECT bucket, hashes FROM scoring.seen WHERE partition = $1 AND bucket = ANY($2::int[])"
    rows: Sequence[Any] = (await connection.exec_driver_sql(sql, (state.partition, buckets))).all()
    for number in buckets:
        state.seen[number] = HashSet()
    for number, hashes in rows:
        state.seen[number].add(np.frombuffer(hashes, dtype="<u8"))


async def _load_receipts(reader: Reader, state: State) -> None:
    sql = "SELECT bucket, hashes FROM scoring.seen WHERE partition = $1 AND bucket % 2 = $2"
    found = await reader.connection.exec_driver_sql(sql, (reader.partition, RECEIPT))
    rows: Sequence[Any] = found.all()
    for number, hashes in rows:
        state.seen.setdefault(number, HashSet()).add(np.frombuffer(hashes, dtype="<u8"))


def _finish(state: State) -> None:
    """What is derived: profiles, window counts, evaluations.

    Every account counts as touched: one that was not has the evaluation that it had, so that
    nothing more is published for it.
    """
    if state.plan is None:
        return
    count = state.accounts.count
    for account in range(count):
        refresh_profile(state, account)
    for number, kept in enumerate(state.signals):
        if isinstance(kept, DaySums):
            kept.recount(state.day, state.plan.windows_of(number), state.plan.windows)
        elif isinstance(kept, DaySets):
            recount(state, kept)
    state.evaluated[:, :count] = evaluate(state, np.arange(count)).parts
    state.accounts.touched[:count] = True
