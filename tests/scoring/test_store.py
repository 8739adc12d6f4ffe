"""What is saved by deltas and loaded again is what was in memory."""

import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.scoring.engine import RawRecord, State, advance, decode
from services.scoring.engine.dedupe import evict, wanted
from services.scoring.engine.state import ActiveDays, DaySets, Latest, OpenKeys
from services.scoring.engine.sums import DaySums
from services.scoring.engine.users.state import UserDays
from services.scoring.load import Loaded, load, load_seen
from services.scoring.newest import load_newest
from services.scoring.rows import rows_of
from services.scoring.store import mark_relayed, save
from shared import database
from shared.database import snapshot, transaction
from shared.events import HEALTH_CHANGES
from shared.offsets import Claim, claim
from tests.scoring.random_log import (
    DAY_MS,
    START_MS,
    RandomLog,
    config,
    document,
    erasure,
    event,
    tick,
)

PARTITION = 3


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = database.create(database_url)
    yield made
    await made.dispose()


class Worker:
    """Commits batches as the pipeline does, without a log."""

    def __init__(self, engine: AsyncEngine, held: Claim, state: State) -> None:
        self.engine = engine
        self.held = held
        self.state = state
        self.sent: list[tuple[bytes, bytes]] = []

    @classmethod
    async def start(cls, engine: AsyncEngine) -> "Worker":
        async with transaction(engine) as connection:
            held = await claim(connection, "scoring", PARTITION, "log", "me")
        return cls(engine, held, (await read(engine, held)).state)

    async def commit(self, records: list[RawRecord]) -> None:
        batch = decode(records, self.state)
        async with snapshot(self.engine) as connection:
            await load_seen(connection, self.state, wanted(self.state, batch.events))
        effects = advance(self.state, batch, lambda _: PARTITION)
        rows = rows_of(self.state, effects)
        self.sent += [each for records in effects.outgoing.values() for each in records]
        async with transaction(self.engine) as connection:
            self.held = await save(connection, self.held, records[-1].offset + 1, rows)
            await mark_relayed(connection, self.held, rows.number - 1)
        evict(self.state)


async def read(engine: AsyncEngine, held: Claim) -> Loaded:
    async with snapshot(engine) as connection:
        return await load(connection, held)


def comparable(state: State) -> dict[str, Any]:
    """All of a state that can be seen from outside, in no particular order of things."""
    accounts, count = state.accounts, state.accounts.count
    plan = state.plan
    headings = state.published.known_headings
    in_use = {number for number in state.seen if number % 2 or number // 2 >= state.day - 2}
    return {
        "clock": state.clock,
        "configs": (state.active_config, state.next_config),
        "ids": accounts.ids,
        "facts": accounts.facts,
        "texts": [repr(sorted(facts.items())) for facts in accounts.facts],
        "profiles": repr(accounts.profiles),
        "published": _published(state),
        "created": accounts.created_days[:count].tolist(),
        "late": (accounts.late[:count] & (state.published.sequences[:count] > 0)).tolist(),
        "news": (accounts.news[:count] & (state.published.sequences[:count] > 0)).tolist(),
        "backfilled": (
            accounts.backfilled[:count] & (state.published.sequences[:count] > 0)
        ).tolist(),
        "unread": state.unread,
        "differs": accounts.differs[:count].tolist(),
        "cards": accounts.cards[:count].tolist(),
        "stale": accounts.stale[:count].tolist(),
        "sources": _sources(state),
        "history": [
            (tenths, coverage, headings[number] if number >= 0 else None, stale)
            for tenths, coverage, number, stale in accounts.history[:count].tolist()
        ],
        "closes": [_closes(state, account) for account in range(count)],
        "signals": [
            (kept.signal_no, signal.definition, kept.since_day, _signal(state, kept))
            for signal, kept in zip(plan.signals if plan else (), state.signals, strict=True)
        ],
        "users": _users(state),
        "success": _success(state),
        "numbers": np.nan_to_num(state.profile_numbers[:, :count], nan=-1).tolist(),
        "times": state.time_parts[:, :count].tolist(),
        "held": {day: held for day, held in state.held.items() if held},
        "seen": {
            number: sorted(int(one) for run in state.seen[number].runs for one in run)
            for number in in_use
            if len(state.seen[number])
        },
        "number": state.next_number,
        "erased": state.erased,
    }


def _published(state: State) -> Any:
    published, count = state.published, state.accounts.count
    arrays = (
        published.sequences,
        published.as_of_ms,
        published.tenths,
        published.computed,
        published.coverage,
        published.headings,
        published.stale,
        published.shares.T,
    )
    others = published.gone, published.overrides, repr(published.profiles)
    return [array[:count].tolist() for array in arrays], published.known_headings, others


def _sources(state: State) -> Any:
    sources, oldest = state.sources, state.day - 120
    days = {
        (slot, account): int(sources.days[slot, account])
        for slot, account in np.argwhere(sources.days >= oldest).tolist()
    }
    return list(sources.known.items()), sources.waiting, sources.gap, days


def _users(state: State) -> Any:
    users, count = state.users, state.users.count
    inside = sum(1 << day % 128 for day in range(max(0, state.day - 120), state.day + 1))
    days = [kept for kept in state.signals if isinstance(kept, UserDays)]
    known = [
        (
            (int(users.owners[at]), users.names.text(at), int(users.table.hashes[at])),
            (int(users.last_days[at]), int(users.ranks[at]), int(users.settling[at])),
            int(users.watches[at]),
            [(int(kept.high[at]) << 64 | int(kept.low[at])) & inside for kept in days],
        )
        for at in range(count)
        if users.ranks[at] >= 0 or users.last_days[at] >= state.day - 120
    ]
    counts = users.counts[: state.accounts.count].tolist()
    windows = [
        {window: of[: state.accounts.count].tolist() for window, of in kept.counts.items()}
        for kept in days
    ]
    return sorted(known, key=str), counts, windows, users.ranked, state.next_signal_no


def _success(state: State) -> Any:
    success, count = state.success, state.accounts.count
    arrays = (
        success.matrix,
        success.onboarding,
        success.start_days,
        success.outcomes,
        success.outcome_days,
    )
    told = {day: signals for day, signals in success.told.items() if signals}
    bursts = {
        at: day
        for at, day in enumerate(success.burst_days[:count].tolist())
        if day >= state.day - 120
    }
    pending = {at: sorted(one.id for one in waiting) for at, waiting in success.pending.items()}
    return [array[:count].tolist() for array in arrays], told, bursts, pending


def _closes(state: State, account: int) -> list[int]:
    first = max(int(state.accounts.created_days[account]), state.day - 32)
    ring = state.accounts.closed_tenths[account]
    return [int(ring[day % 32]) for day in range(first, state.day)]


def _signal(state: State, kept: Any) -> Any:
    count = state.accounts.count
    if isinstance(kept, DaySums):
        days = range(state.day - 120, state.day + 1)
        totals = {window: total[:count].tolist() for window, total in kept.totals.items()}
        return [kept.at(day, state.day, np.arange(count)).tolist() for day in days], totals
    if isinstance(kept, DaySets):
        used = kept.things.count
        words = zip(kept.owners[:used], kept.things.hashes, kept.low, kept.high, strict=False)
        inside = sum(1 << day % 128 for day in range(max(0, state.day - 120), state.day + 1))
        bits = (
            (int(owner), int(thing), (int(high) << 64 | int(low)) & inside)
            for owner, thing, low, high in words
        )
        alive = sorted(row for row in bits if row[2])
        return alive, {window: counts[:count].tolist() for window, counts in kept.counts.items()}
    if isinstance(kept, ActiveDays):
        arrays = kept.low, kept.high, kept.first, kept.last, kept.faded
        return [array[:count].tolist() for array in arrays]
    if isinstance(kept, OpenKeys):
        accounts = enumerate(state.accounts.facts)
        facts = [(at, name) for at, facts in accounts for name, one in facts.items() if not one[2]]
        known = {key for keys in kept.closed.values() for key in keys}
        return kept.counts[:count].tolist(), sorted(known.intersection(facts))
    if isinstance(kept, UserDays):
        return None
    assert isinstance(kept, Latest)
    return np.nan_to_num(kept.values[:count], nan=-1).tolist(), kept.days[:count].tolist()


@pytest.mark.parametrize("seed", range(5))
async def test_a_loaded_state_equals_the_one_in_memory_at_every_commit(
    engine: AsyncEngine, seed: int
) -> None:
    worker = await Worker.start(engine)
    for batch in RandomLog(seed).batches(30):
        await worker.commit(batch)
        loaded = (await read(engine, worker.held)).state
        assert comparable(loaded) == comparable(worker.state)


@pytest.mark.parametrize("seed", range(100, 102))
async def test_reloading_at_any_commit_sends_the_same(engine: AsyncEngine, seed: int) -> None:
    state, sent = State(PARTITION, 1), []
    for batch in RandomLog(seed).batches(40):
        effects = advance(state, decode(batch, state), lambda _: PARTITION)
        sent += [each for records in effects.outgoing.values() for each in records]
    worker = await Worker.start(engine)
    for at, batch in enumerate(RandomLog(seed).batches(40)):
        await worker.commit(batch)
        if at % 3 == 0:
            worker.state = (await read(engine, worker.held)).state
    assert worker.sent == sent


async def test_a_batch_may_bring_events_a_new_configuration_and_events(
    engine: AsyncEngine,
) -> None:
    worker = await Worker.start(engine)
    await worker.commit([RawRecord(0, *config(document())), RawRecord(1, *tick(START_MS))])
    one, other = document(seats=False), document(window="60d")
    records = [
        event("1", START_MS, properties={"feature": "a", "amount": 1}),
        config(one),
        tick(START_MS + 1),
        event("2", START_MS, properties={"other": 5}),
        config(other),
        tick(START_MS + 2),
        event("3", START_MS, properties={"feature": "b", "amount": 4}),
        tick(START_MS + DAY_MS),
    ]
    await worker.commit([RawRecord(2 + at, *record) for at, record in enumerate(records)])
    loaded = (await read(engine, worker.held)).state
    assert comparable(loaded) == comparable(worker.state)


async def test_what_left_the_horizon_leaves_the_tables(engine: AsyncEngine) -> None:
    worker = await Worker.start(engine)
    first = [config(document()), tick(START_MS), event("1", START_MS, user_id="u")]
    await worker.commit([RawRecord(at, *record) for at, record in enumerate(first)])
    await worker.commit([RawRecord(3, *tick(START_MS + 130 * DAY_MS))])
    async with snapshot(engine) as connection:
        for table in ("day_sum", "day_set", "account_user", "seen"):
            rows = await connection.execute(text(f"SELECT count(*) FROM scoring.{table}"))
            assert rows.scalar_one() == 0, table


async def test_records_that_cannot_be_used_are_put_aside_with_their_bytes(
    engine: AsyncEngine,
) -> None:
    worker = await Worker.start(engine)
    nul = event("nul", START_MS, properties={"feature": "a\0b"})
    number = event("n", START_MS)[1].replace(b'"properties":{}', b'"properties":{"amount":1e999}')
    bytes_ = event("n", START_MS)[1].replace(b'"properties":{}', b'"properties":{"feature":"\xff"}')
    listed = event("n", START_MS)[1].replace(b'"properties":{}', b'"properties":[]')
    records = [config(document()), tick(START_MS), nul, (b"acme", number), (b"acme", bytes_)]
    records += [(b"acme", listed), event("escaped", START_MS, properties={"feature": "\\u0000"})]
    await worker.commit([RawRecord(at, *record) for at, record in enumerate(records)])
    async with snapshot(engine) as connection:
        rows = (
            await connection.execute(
                text("SELECT log_id, log_offset, value FROM scoring.quarantine ORDER BY 2")
            )
        ).all()
    assert [tuple(row) for row in rows] == [
        ("log", 2, nul[1]),
        ("log", 3, number),
        ("log", 4, bytes_),
        ("log", 5, listed),
    ]
    assert worker.state.accounts.ids == ["acme"]


async def test_a_full_profile_is_as_full_when_it_is_loaded_again(engine: AsyncEngine) -> None:
    worker = await Worker.start(engine)
    fields = [{f"f{at}": None if at % 2 else at for at in range(200)}, {"f1": 1, "more": 1}]
    told = [
        event(f"t{at}", START_MS + at, type="account.updated", properties=each)
        for at, each in enumerate(fields)
    ]
    records = [config(document()), tick(START_MS), *told]
    *first, last = [RawRecord(at, *record) for at, record in enumerate(records)]
    await worker.commit(first)
    worker.state = (await read(engine, worker.held)).state
    await worker.commit([last])
    loaded = (await read(engine, worker.held)).state.accounts.profiles[0]
    assert loaded == worker.state.accounts.profiles[0]
    assert {*loaded} == {f"f{at}" for at in range(0, 200, 2)} | {"f1"}


async def test_what_was_put_aside_loses_its_bytes_where_it_names_who_is_erased(
    engine: AsyncEngine,
) -> None:
    worker = await Worker.start(engine)
    records = [config(document()), tick(START_MS)]
    for user in ("ü-1", "ü-10", "v"):
        for escaped in (event("x", START_MS, user_id=user)[1], _escaped(user)):
            records.append((b"acme", escaped.replace(b'"id":"x"', b'"id":7')))
    await worker.commit([RawRecord(at, *record) for at, record in enumerate(records)])
    await worker.commit([RawRecord(8, *erasure("ü-1", START_MS))])
    async with snapshot(engine) as connection:
        rows = await connection.execute(
            text("SELECT log_offset, value FROM scoring.quarantine ORDER BY 1")
        )
        assert [(row[0], row[1] is None) for row in rows] == [
            (2, True), (3, True), (4, False), (5, False), (6, False), (7, False),
        ]  # fmt: skip
        kept = await connection.execute(text("SELECT * FROM scoring.erased"))
        assert "ü-1" not in str(kept.all())


def _escaped(user: str) -> bytes:
    return json.dumps({"id": 7, "type": "x", "account_id": "acme", "user_id": user}).encode()


def answer(identity: str, at_ms: int, **fields: Any) -> tuple[bytes, bytes]:
    """A detractor's answer."""
    properties = {"survey": "nps", "score": 1}
    return event(
        identity, at_ms, type="survey.answered", source="web", properties=properties, **fields
    )


async def test_who_is_erased_is_in_no_row(engine: AsyncEngine) -> None:
    gone, other, then = 'ann "ü" \\ 7', "ben", START_MS + 20 * DAY_MS
    joined = event("j", then, type="user.joined", user_id=gone, account_id="beta", source="web",
                   properties={"known_at": ["acme"]})  # fmt: skip
    heard_ms = START_MS + 3 * DAY_MS
    first = [
        *(config(document()), tick(START_MS), event("0", START_MS, user_id=gone)),
        *(tick(then, app=heard_ms), joined, answer("1", then, user_id=gone)),
        answer("2", then, user_id=gone, account_id="gamma"),
        answer("3", then, user_id=other, account_id="delta"),
        tick(then + 1, app=heard_ms),
    ]
    worker = await Worker.start(engine)
    await worker.commit([RawRecord(at, *record) for at, record in enumerate(first)])
    found = await _rows_with(engine, gone)
    assert {"account_user", "account_signal", "signal_record", "health"} <= found.keys()
    again = answer("4", then + 1, user_id=gone, account_id="gamma")
    erasing = [again, tick(then + 2), erasure(gone, then + DAY_MS)]
    await worker.commit([RawRecord(50 + at, *record) for at, record in enumerate(erasing)])
    assert await _rows_with(engine, gone) == {}
    assert (await _rows_with(engine, other)).keys() >= {"health", "signal_record"}
    loaded = (await read(engine, worker.held)).state
    assert comparable(loaded) == comparable(worker.state)
    assert [one.user_id for one in loaded.success.pending[0]] == [None]
    newest = (await load_newest_of(engine, loaded))["gamma"]
    assert [one["user_id"] for record in newest for one in record["signals"]] == [None, None]


async def load_newest_of(engine: AsyncEngine, state: State) -> dict[str, list[Any]]:
    """The health records of each account that a new log starts with."""
    async with snapshot(engine) as connection:
        records = (await load_newest(connection, state))[HEALTH_CHANGES]
    found: dict[str, list[Any]] = {}
    for key, record in records:
        found.setdefault(key.decode(), []).append(json.loads(record))
    return found


async def _rows_with(engine: AsyncEngine, user_id: str) -> dict[str, int]:
    """How many rows of each table of scoring hold a user id, in whatever form."""
    forms = {user_id, json.dumps(user_id)[1:-1], json.dumps(user_id, ensure_ascii=False)[1:-1]}
    forms |= {form.encode().hex() for form in forms}
    found: dict[str, int] = {}
    async with snapshot(engine) as connection:
        names = await connection.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'scoring'")
        )
        for name in names.scalars().all():
            if name == "outbox":  # sent within seconds, and gone
                continue
            rows = await connection.execute(
                text(f"SELECT row_to_json(t)::text FROM scoring.{name} t")
            )
            count = sum(any(form in row for form in forms) for row in rows.scalars())
            found |= {name: count} if count else {}
    return found
