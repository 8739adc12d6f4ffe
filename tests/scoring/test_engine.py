"""The engine equals the oracle, whatever happens, in whatever batches it is read."""

import asyncio
import itertools
import os
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from services.scoring.engine import RawRecord, decode
from services.scoring.engine.dedupe import evict, wanted
from services.scoring.load import load, load_seen
from services.scoring.rows import rows_of
from services.scoring.store import mark_relayed, save
from shared import database
from shared.events import RESERVED_PREFIX
from shared.kafka import partition_of
from shared.offsets import Claim, claim
from tests.scoring.documents import documents
from tests.scoring.histories import (
    START,
    Record,
    batches,
    config,
    histories,
    interleaved,
    punctual_sources,
    tick,
)
from tests.scoring.twins import Engine, Said, by_engine, by_oracle, standing

EXAMPLES = float(os.environ.get("MYAKU_TEST_EXAMPLES", "1"))
"""More examples than usual: MYAKU_TEST_EXAMPLES=20."""
MODES = (("history",), ("live",), ("history", "live"))
partition_numbers = itertools.count()


def examples(count: int) -> settings:
    """Settings of a test over `count` examples, the same ones each time."""
    return settings(
        max_examples=int(count * EXAMPLES),
        derandomize=EXAMPLES == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@given(data=st.data())
@examples(300)
def test_a_history_is_scored_as_the_oracle_scores_it(data: st.DataObject) -> None:
    records = data.draw(histories())
    expected = by_oracle([records])
    assert by_engine([records]) == expected
    assert by_engine(data.draw(batches(records))) == expected


@given(data=st.data())
@examples(300)
def test_a_live_log_is_scored_as_the_oracle_scores_it(data: st.DataObject) -> None:
    records = data.draw(histories(data.draw(st.sampled_from(MODES[1:]))))
    cut = data.draw(batches(records))
    said = by_engine(cut)
    assert said == by_oracle(cut)
    assert standing(said) == standing(by_oracle([records]))


@given(data=st.data())
@examples(60)
def test_closes_do_not_depend_on_how_live_sources_interleave(data: st.DataObject) -> None:
    sources = data.draw(punctual_sources())
    first = [config(data.draw(documents("Asia/Tokyo")))]
    first += [tick(START, "live", source, len(sources)) for source in range(len(sources))]
    in_turn = by_oracle([first, *sources])
    mixed = first + data.draw(interleaved(sources))
    assert standing(by_engine(data.draw(batches(mixed)))) == standing(in_turn)


@pytest.mark.parametrize("partitions", [4, 12])
@given(data=st.data())
@examples(25)
def test_any_number_of_partitions_says_the_same(partitions: int, data: st.DataObject) -> None:
    records = data.draw(histories())
    whole = by_oracle([records])
    union = Said()
    for partition in range(partitions):
        own = [record for record in records if partition in homes(record, partitions)]
        said = by_engine([own], partition, partitions)
        assert said == by_oracle([own], partition, partitions)
        union.history |= said.history
        union.health |= said.health
        union.ranks += said.ranks
        union.outbox += [each for each in said.outbox if not each[0].startswith(RESERVED_PREFIX)]
        for name, count in said.counters.items():
            union.counters[name] = union.counters.get(name, 0) + count
    assert (union.history, union.health) == (whole.history, whole.health)
    assert union.counters == whole.counters
    assert sorted(union.ranks, key=by_user) == sorted(whole.ranks, key=by_user)
    published = [each for each in whole.outbox if not each[0].startswith(RESERVED_PREFIX)]
    assert sorted(union.outbox, key=in_time) == sorted(published, key=in_time)


def homes(record: Record, partitions: int) -> Sequence[int]:
    """The partitions that a record is written to."""
    key = record[0].decode()
    if key.startswith(RESERVED_PREFIX):
        return range(partitions)
    return [partition_of(key, partitions)]


def by_user(change: dict[str, Any]) -> tuple[str, str, str]:
    """An order that changes of ranks have whatever the number of partitions."""
    return change["account_id"], change["user_id"], change["as_of"]


def in_time(publication: tuple[str, dict[str, object]]) -> tuple[str, int]:
    """An order that publications have whatever the number of partitions."""
    sequence = publication[1]["sequence"]
    assert isinstance(sequence, int)
    return publication[0], sequence


@given(data=st.data())
@examples(150)
def test_contributions_are_the_score_and_changes_its_change(data: st.DataObject) -> None:
    said = by_engine(data.draw(batches(data.draw(histories(data.draw(st.sampled_from(MODES)))))))
    for key, health in said.outbox:
        if not key.startswith(RESERVED_PREFIX):
            assert adds_up(health)


def adds_up(health: Any) -> bool:
    """Whether what the record says adds up, to the last hundredth of a point."""
    drivers, previous = health["drivers"], health["previous"]
    score = hundredths(health["score"])
    is_changed = score - (hundredths(previous["score"]) if previous else score)
    return (
        sum(hundredths(each["contribution"]) for each in drivers) == score
        and sum(hundredths(each["contribution"]) for each in health["dimensions"]) == score
        and sum(hundredths(each["change"]) for each in drivers) == is_changed
        and all(
            sum(hundredths(part["change"]) for part in each["causes"]) == hundredths(each["change"])
            for each in drivers
        )
    )


def hundredths(points: float | None) -> int:
    """Points as a whole number; no score is 0 of them."""
    return round(100 * (points or 0))


@given(data=st.data())
@examples(40)
def test_a_partition_loaded_anew_goes_on_the_same(data: st.DataObject, database_url: str) -> None:
    records = data.draw(histories(data.draw(st.sampled_from(MODES))))
    cut = data.draw(batches(records))
    reloads = [data.draw(st.booleans()) for _ in cut]
    said = asyncio.run(through_the_database(database_url, cut, reloads))
    assert said == by_oracle(cut)
    assert all(adds_up(health) for health in said.health.values())


async def through_the_database(url: str, cut: list[list[Record]], reloads: list[bool]) -> Said:
    """What the engine says when every batch is saved, and its state sometimes read back."""
    server = database.create(url, connections=2)
    partition = next(partition_numbers)
    try:
        held, engine = await loaded(server, partition)
        for batch, reload in zip(cut, reloads, strict=True):
            if reload:
                before = engine
                held, engine = await loaded(server, partition)
                engine.effects, engine.offset = before.effects, before.offset
            held = await commit(server, held, engine, batch)
        effects = engine.effects
        _, engine = await loaded(server, partition)
        engine.effects = effects
        return engine.said()
    finally:
        await server.dispose()


async def loaded(server: AsyncEngine, partition: int) -> tuple[Claim, Engine]:
    """The partition, claimed and read from its rows."""
    async with database.transaction(server) as connection:
        held = await claim(connection, "scoring", partition, "log", "test")
    async with database.snapshot(server) as connection:
        state = (await load(connection, held)).state
    return held, Engine(state, lambda account: partition)


async def commit(server: AsyncEngine, held: Claim, engine: Engine, batch: list[Record]) -> Claim:
    """One batch, as the pipeline handles it."""
    state = engine.state
    decoded = decode((RawRecord(0, *record) for record in batch), state)
    async with database.snapshot(server) as connection:
        await load_seen(connection, state, wanted(state, decoded.events))
    effects = engine.read_batch(batch)
    async with database.transaction(server) as connection:
        held = await save(connection, held, engine.offset, rows_of(state, effects))
        await mark_relayed(connection, held, effects.number)
    evict(state)
    return held
