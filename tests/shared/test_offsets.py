"""The fence: at every interleaving one owner counts each record once, and none is torn."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import database
from shared.database import snapshot, transaction
from shared.offsets import Claim, Fenced, advance, claim, confirm
from tests.processes import eventually, first_line, start_python

LOG = "log-1"


@pytest_asyncio.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = database.create(database_url)
    async with transaction(made) as connection:
        await connection.execute(text("CREATE TABLE folded (place int, total bigint)"))
        await connection.execute(text("INSERT INTO folded VALUES (1, 0), (2, 0)"))
    yield made
    await made.dispose()


async def take(engine: AsyncEngine, owner: str, log_id: str = LOG) -> Claim:
    async with transaction(engine) as connection:
        return await claim(connection, "scoring", 0, log_id, owner)


async def test_each_claim_has_a_greater_epoch_and_the_same_place(engine: AsyncEngine) -> None:
    first = await take(engine, "one")
    async with transaction(engine) as connection:
        moved = await advance(connection, first, 7)
    second = await take(engine, "two")
    assert (moved.next, second.next, second.epoch) == (7, 7, first.epoch + 1)


async def test_whoever_means_another_log_commits_nothing(engine: AsyncEngine) -> None:
    first = await take(engine, "one")
    async with transaction(engine) as connection:
        await advance(connection, first, 7)
    mistaken = await take(engine, "one", "log-2")
    with pytest.raises(Fenced):
        async with transaction(engine) as connection:
            await advance(connection, mistaken, 8)


async def test_whoever_was_replaced_moves_nothing(engine: AsyncEngine) -> None:
    zombie = await take(engine, "one")
    owner = await take(engine, "two")
    with pytest.raises(Fenced):
        async with transaction(engine) as connection:
            await advance(connection, zombie, 5)
    with pytest.raises(Fenced):
        async with snapshot(engine) as connection:
            await confirm(connection, zombie)
    async with snapshot(engine) as connection:
        await confirm(connection, owner)


async def test_a_commit_from_an_old_offset_is_refused(engine: AsyncEngine) -> None:
    held = await take(engine, "one")
    async with transaction(engine) as connection:
        await advance(connection, held, 5)
    with pytest.raises(Fenced):
        async with transaction(engine) as connection:
            await advance(connection, held, 6)


async def test_a_blocked_commit_of_a_zombie_is_fenced_when_the_row_is_free(
    engine: AsyncEngine,
) -> None:
    zombie = await take(engine, "one")
    async with transaction(engine) as connection:
        await claim(connection, "scoring", 0, LOG, "two")
        blocked = asyncio.create_task(_advance(engine, zombie))
        await _someone_waits(engine)
    with pytest.raises(Fenced):
        await blocked


async def _advance(engine: AsyncEngine, held: Claim) -> None:
    async with transaction(engine) as connection:
        await advance(connection, held, 5)


async def _someone_waits(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not (await connection.execute(waiting)).scalar_one():
            await connection.rollback()


async def test_a_snapshot_sees_one_moment_and_leaves_nothing_behind(engine: AsyncEngine) -> None:
    async with snapshot(engine) as connection:
        first = await _total(connection, 1)
        async with transaction(engine) as other:
            await other.execute(text("UPDATE folded SET total = 100"))
        assert (await _total(connection, 2), first) == (0, 0)
    async with transaction(engine) as connection:
        shown = await connection.execute(text("SHOW transaction_isolation"))
        assert shown.scalar_one() == "read committed"
        await connection.execute(text("UPDATE folded SET total = 0"))


async def _total(connection: AsyncConnection, place: int) -> int:
    sql = text("SELECT total FROM folded WHERE place = :place")
    return int((await connection.execute(sql, {"place": place})).scalar_one())


class Worker:
    """Counts the records of a log twice over, in two rows; every step may be the last."""

    def __init__(self, engine: AsyncEngine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.held: Claim | None = None
        self.totals = [0, 0]

    async def run(self, chance: random.Random, commits: int) -> None:
        while commits:
            try:
                await self._load(chance)
                while commits:
                    await self._commit(chance.randint(1, 5), chance)
                    commits -= 1
            except Fenced:
                continue

    async def _load(self, chance: random.Random) -> None:
        self.held = await take(self.engine, self.name)
        await _let_others(chance)
        async with snapshot(self.engine) as connection:
            await confirm(connection, self.held)
            self.totals[0] = await _total(connection, 1)
            await _let_others(chance)
            self.totals[1] = await _total(connection, 2)
        assert self.totals == [self.held.next, self.held.next]

    async def _commit(self, count: int, chance: random.Random) -> None:
        assert self.held is not None
        totals = [total + count for total in self.totals]
        async with transaction(self.engine) as connection:
            moved = await advance(connection, self.held, self.held.next + count)
            for place, total in enumerate(totals, 1):
                await _let_others(chance)
                sql = text("UPDATE folded SET total = :total WHERE place = :place")
                await connection.execute(sql, {"total": total, "place": place})
        self.held, self.totals = moved, totals


async def _let_others(chance: random.Random) -> None:
    for _ in range(chance.choice((0, 0, 1, 5))):
        await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(3))
async def test_workers_that_take_over_from_each_other_tear_and_lose_nothing(
    engine: AsyncEngine, seed: int
) -> None:
    workers = [Worker(engine, name) for name in ("one", "two", "three")]
    await asyncio.gather(
        *(worker.run(random.Random(seed * 10 + at), 5) for at, worker in enumerate(workers))
    )
    async with snapshot(engine) as connection:
        next_ = await connection.execute(text("SELECT next FROM scoring.partition"))
        assert [await _total(connection, place) for place in (1, 2)] == [next_.scalar_one()] * 2


STOPPED = """
import asyncio, os, pathlib, signal, sys
from sqlalchemy import text
from shared import database
from shared.database import transaction
from shared.offsets import advance, claim

database.WRITER_SETTINGS["idle_in_transaction_session_timeout"] = "1s"

async def main():
    engine = database.create(sys.argv[1])
    async with transaction(engine) as connection:
        held = await claim(connection, "scoring", 0, "log-1", "stopped")
    async with transaction(engine) as connection:
        await advance(connection, held, 5)
        pathlib.Path(sys.argv[2]).write_text("inside\\n")
        os.kill(os.getpid(), signal.SIGSTOP)

asyncio.run(main())
"""


async def test_an_owner_stopped_inside_its_transaction_blocks_its_successor_for_a_while_only(
    engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    stopped = start_python(STOPPED, database_url, str(told))
    try:
        await eventually(lambda: first_line(told) == "inside")
        successor = await take(engine, "successor")
        assert (successor.next, successor.epoch) == (0, 2)
        stopped.send_signal(signal.SIGCONT)
        await eventually(lambda: stopped.poll() is not None)
        assert stopped.returncode != 0
    finally:
        stopped.kill()
        stopped.wait()
    async with transaction(engine) as connection:
        await advance(connection, successor, 9)


def test_a_transaction_left_open_ends_by_itself() -> None:
    assert set(database.WRITER_SETTINGS) >= {
        "lock_timeout",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
    }
