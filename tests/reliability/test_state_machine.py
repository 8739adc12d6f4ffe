"""Scoring's shell on a real PostgreSQL: whatever fails where, nothing is lost or counted twice.

Three workers take one partition from each other while statements fail, connections end, commits
lose their answer and records are not acknowledged. An undisturbed engine that is given the same
records in one go is the model: at every offset the database holds its state, and in the end the
topics have its records.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.scoring.engine import RawRecord, State, advance, decode
from services.scoring.load import load
from services.scoring.pipeline import Scoring
from shared import database
from shared.database import LOST, snapshot
from shared.events import Marker
from shared.offsets import Claim, Fenced
from tests.conftest import new_database
from tests.reliability.faults import Faults, Plan
from tests.scoring.random_log import START_MS, RandomLog, config, document
from tests.scoring.test_pipeline import log_of
from tests.scoring.test_store import comparable

EXAMPLES = int(os.environ.get("MYAKU_TEST_STATE_MACHINES", "40"))
STEPS = 40
RECORDS = 150
HEADINGS = 5
"""The column of `published` that has numbers given in the order of the batches."""

MARKER = Marker("log-1", 1)
WORKERS = st.integers(0, 2)
FAULTS = st.sampled_from(("", "", "refused", "cut", "unsaved", "unanswered", "meanwhile"))
AUDIT = """
CREATE TABLE owners (epoch bigint, owner text, next bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO owners VALUES (NEW.epoch, NEW.owner, NEW.next); RETURN NULL; END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OF epoch ON scoring.partition
FOR EACH ROW EXECUTE FUNCTION note();
"""
SEEN: Counter[str] = Counter()
"""What really happened in all runs: a test of faults that saw none would prove nothing."""
REALLY = ("refused", "cut", "unsaved", "unanswered", "meanwhile", "fenced", "failed", "lost",
          "unacknowledged")  # fmt: skip


@dataclass
class Broker:
    """Acknowledges what it is sent, loses it, or has it and does not say so."""

    sent: dict[str, list[tuple[bytes, bytes]]] = field(default_factory=dict)
    fails: str = ""

    def create_batch(self) -> "Pending":
        return Pending()

    async def send_batch(self, batch: "Pending", topic: str, *, partition: int) -> Awaitable[None]:
        assert partition == 0
        fails, self.fails = self.fails, ""
        if fails:
            SEEN[fails] += 1
        if fails != "lost":
            self.sent.setdefault(topic, []).extend(batch.records)
        return _acknowledged(fails)


async def _acknowledged(fails: str) -> None:
    if fails:
        raise KafkaError(fails)


@dataclass
class Pending:
    """A batch of a producer."""

    records: list[tuple[bytes, bytes]] = field(default_factory=list)

    def append(self, *, key: bytes, value: bytes, headers: object, timestamp: object) -> int:
        self.records.append((key, value))
        return len(self.records)

    def record_count(self) -> int:
        return len(self.records)

    def close(self) -> None:
        """Nothing follows."""


class Model:
    """The same records one by one, with nobody in between, and all in memory."""

    def __init__(self, log: list[tuple[bytes, bytes]]) -> None:
        self.log = log
        self.state = State(0, 1)
        self.at = 0
        self.sent: dict[str, list[tuple[bytes, bytes]]] = {}

    def to(self, offset: int) -> State:
        """The state after the records before this offset."""
        for at in range(self.at, offset):
            record = RawRecord(at, *self.log[at])
            effects = advance(self.state, decode([record], self.state), lambda _: 0)
            for topic, records in effects.outgoing.items():
                self.sent.setdefault(topic, []).extend(records)
        self.at = max(self.at, offset)
        return self.state


class Machine(RuleBasedStateMachine):
    """One partition, three workers that take it from each other."""

    postgres_url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.run = self.runner.run
        self.run(self._start())

    async def _start(self) -> None:
        self.url = await new_database(self.postgres_url)
        self.admin = await asyncpg.connect(self.url)
        await self.admin.execute("ALTER TABLE scoring.partition ALTER hash_seed SET DEFAULT 1")
        await self.admin.execute(AUDIT)
        self.engines = [database.create(self.url, connections=3) for _ in range(3)]
        self.faults = [Faults(engine, self.admin, SEEN) for engine in self.engines]
        self.broker = Broker()
        self.workers = [
            Scoring(
                engine,
                self.broker,
                owner=str(at),
                moved_by="events",
                now_ms=lambda: START_MS,
            )
            for at, engine in enumerate(self.engines)
        ]

    @initialize(seed=st.integers(0, 10_000))
    def log(self, seed: int) -> None:
        """The records to come, and where they lead to undisturbed."""
        made = RandomLog(seed, leaps_days=(0, 1, 1, 2, 9))
        self.records = [config(document()), *(made._record() for _ in range(RECORDS))]
        self.log_of = log_of(self.records)
        self.model = Model(self.records)
        self.fence = (0, 0)

    @rule(worker=WORKERS, fault=FAULTS, at=st.integers(0, 40), broker=st.booleans())
    def loads(self, worker: int, fault: str, at: int, broker: bool) -> None:
        """The group gives the partition to a worker; the others do not know it yet."""
        self._plan(worker, fault, at, loading=True)
        self.broker.fails = "lost" if broker and at % 5 == 0 else self.broker.fails
        self.run(self._guarded(worker, self.workers[worker].load(0, MARKER)))

    @rule(worker=WORKERS, fault=FAULTS, at=st.integers(0, 30), count=st.integers(1, 60),
          broker=st.sampled_from(("", "", "lost", "unacknowledged")))  # fmt: skip
    def handles(self, worker: int, fault: str, at: int, count: int, broker: str) -> None:
        """A worker handles what comes next for it, be it the owner or a zombie."""
        held = self.workers[worker].partitions.get(0)
        if held is None:
            return
        self._plan(worker, fault, at, loading=False)
        self.broker.fails = broker or self.broker.fails
        records = self.log_of[held.claim.next : held.claim.next + count]
        if records:
            self.run(self._guarded(worker, self.workers[worker].handle(0, records)))

    @precondition(lambda self: self.fence[1] > 0)
    @rule()
    def compares(self) -> None:
        """What is in the database at its offset is what the records before it lead to."""
        loaded = self.run(self._loaded())
        assert same(loaded) == same(self.model.to(self.fence[1]))

    def _plan(self, worker: int, fault: str, at: int, *, loading: bool) -> None:
        act = None
        if fault == "meanwhile":
            other = self.workers[(worker + 1) % 3]
            # Behind the fence others wait for the row: they come before it, or in a load.
            at = at if loading else 0
            act = lambda: self._takes_over(other)  # noqa: E731 - it is bound to the worker
        self.faults[worker].plan = (
            Plan(fault, at, act, loading and act is not None) if fault else None
        )

    async def _takes_over(self, other: Scoring) -> None:
        """Somebody else claims the partition and commits, in the midst of it."""
        offset = await other.load(0, MARKER)
        records: list[ConsumerRecord] = self.log_of[offset : offset + 7]
        if records:
            await other.handle(0, records)

    async def _guarded(self, worker: int, work: Awaitable[Any]) -> None:
        """As the loop does: what fails is dropped, to be loaded again."""
        try:
            await work
        except (Fenced, KafkaError, *LOST) as error:
            SEEN["fenced" if isinstance(error, Fenced) else "failed"] += 1
            self.workers[worker].drop(0)
        self.faults[worker].plan = None
        await self._conserved()

    async def _conserved(self) -> None:
        """The fence never goes back, and each record before it is accounted for once."""
        row = await self.admin.fetchrow(
            "SELECT epoch, next, counted + duplicates AS folded,"
            " (SELECT count(*) FROM scoring.held) AS held,"
            " (SELECT count(*) FROM scoring.quarantine) AS quarantined,"
            " (SELECT count(DISTINCT epoch) FROM owners) AS epochs,"
            " (SELECT count(*) FROM owners) AS owners"
            " FROM scoring.partition"
        )
        if row is None:
            return
        assert (row["epoch"], row["next"]) >= self.fence
        assert row["next"] >= self.fence[1]
        assert row["epochs"] == row["owners"]
        self.fence = (row["epoch"], row["next"])

    async def _loaded(self) -> State:
        epoch, next_ = self.fence
        async with snapshot(self.engines[0]) as connection:
            held = Claim("scoring", 0, MARKER.id, epoch, next_)
            return (await load(connection, held)).state

    def teardown(self) -> None:
        """All is calm again: the rest is handled, and the topics have what they should."""
        try:
            if hasattr(self, "model"):
                self.run(self._drain())
                self.compares()
                assert self.fence[1] == len(self.records)
                for topic, records in self.model.sent.items():
                    assert list(dict.fromkeys(self.broker.sent[topic])) == records
        finally:
            self.run(self._end())
            self.runner.close()

    async def _drain(self) -> None:
        self.broker.fails = ""
        last = self.workers[0]
        offset = await last.load(0, MARKER)
        for start in range(offset, len(self.records), 50):
            await last.handle(0, self.log_of[start : start + 50])
        await self._conserved()

    async def _end(self) -> None:
        for engine in self.engines:
            await engine.dispose()
        await self.admin.close()


def same(state: State) -> dict[str, Any]:
    """What does not depend on how the records were cut into batches."""
    seen = comparable(state)
    del seen["number"]
    columns, known, others = seen["published"]
    known = [*known, None]  # of who has none, the number is −1
    columns[HEADINGS] = [known[number] for number in columns[HEADINGS]]
    seen["held"] = [
        (one.day, one.offset, one.value) for held in seen["held"].values() for one in held
    ]
    return seen | {"published": (columns, others)}


def test_whatever_fails_where_nothing_is_lost_or_counted_twice(postgres_url: str) -> None:
    Machine.postgres_url = postgres_url
    SEEN.clear()
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=EXAMPLES <= 40,
            database=None,
            phases=(Phase.generate,),  # to shrink what takes seconds would take hours
            suppress_health_check=list(HealthCheck),
        ),
    )
    rare = {name for name in REALLY if SEEN[name] < EXAMPLES // 4}
    assert not rare, SEEN
