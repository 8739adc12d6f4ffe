"""What must hold in the end: against the ledger, against the replay, and in the audit."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from aiokafka import TopicPartition

from shared.events import HEALTH_CHANGES, USAGE_ACCEPTED, USAGE_REJECTED
from tests.simulation.replay import Replay
from tests.simulation.store import Database
from tests.simulation.world import World
from tests.simulation.writing import LOG_ID

OWN = {
    "partition": {"owner", "epoch", "claimed_at", "relayed_log_id", "first_log_id"},
    "outbox": {"number", "records", "partition"},
}
"""What tells of owners, and what is only on its way: no two runs agree on it."""

BY_BATCH = {
    "partition": {"clock"},
    "held": {"number"},
    "seen": {"partition", "bucket", "chunk", "hashes"},
    "account_user": {"at_day"},
    "active_day": {"at_day"},
    "day_set": {"at_day"},
}
"""What depends on where a history was cut into commits."""


def check(world: World) -> None:
    """All of it. Raises AssertionError."""
    for database in world.fleet.databases.values():
        check_audit(database)
    if "ingest" in world.services:
        check_ingest(world)
    replay = Replay(LOG_ID, world.partitions, live=world.live)
    try:
        if "scoring" in world.services:
            check_ledger(world)
            check_scoring(world, replay)
        if "alerts" in world.services:
            check_alerts(world, replay)
    finally:
        replay.close()


def check_audit(database: Database) -> None:
    """I5: offsets and epochs never fall, and each epoch has one owner."""
    owners: dict[tuple[int, int], str] = {}
    before: dict[int, tuple[int, int]] = {}
    for partition, _, epoch, offset, owner in database.audit:
        assert owners.setdefault((partition, epoch), owner) == owner, f"I5: two owners of {epoch}"
        last_epoch, last_offset = before.get(partition, (0, 0))
        assert epoch >= last_epoch, f"I5: epoch {epoch} of {partition} after {last_epoch}"
        assert offset >= last_offset, f"I5: offset {offset} of {partition} after {last_offset}"
        before[partition] = epoch, offset


def check_ingest(world: World) -> None:
    """I1, I7 and I10 of ingest: every event is passed on or refused, under its account."""
    ledger = world.traffic.ledger
    found: dict[str, set[int]] = defaultdict(set)
    for partition, log in enumerate(world.broker.topics[USAGE_ACCEPTED]):
        for record in log:
            if record.key.startswith(b"a"):
                found[json.loads(record.value)["id"]].add(partition)
    assert found.keys() == ledger.ids, f"I1: lost or made up: {found.keys() ^ ledger.ids}"
    assert all(len(partitions) == 1 for partitions in found.values()), "I1: in two partitions"
    refused = {
        (headers["source_partition"], headers["source_offset"])
        for record in world.broker.topics[USAGE_REJECTED][0]
        for headers in [dict(record.headers)]
    }
    assert len(refused) == ledger.poison, f"I10: {len(refused)} refused of {ledger.poison}"


def check_ledger(world: World) -> None:
    """I1, I2 and I10: each event is counted once, or put aside, or a duplicate."""
    ledger, database = world.traffic.ledger, world.fleet.databases["scoring"]
    direct = "ingest" not in world.services
    counted: Counter[tuple[str, int]] = Counter()
    sql = (
        "SELECT account_id, day, sum(value) FROM day_sum JOIN account USING (partition, account_no)"
    )
    for account, day, count in database.rows(f"{sql} GROUP BY 1, 2"):
        counted[account, day] += count
    assert counted == ledger.counted, f"I1: {difference(counted, ledger.counted)}"
    hashes = Counter[int]()
    for (packed,) in database.rows("SELECT hashes FROM seen"):
        hashes.update(np.frombuffer(packed, "<u8").tolist())
    assert set(hashes.values()) <= {1}, "I2: an id was remembered twice"
    assert len(hashes) == len(ledger.ids), f"I2: {len(hashes)} ids of {len(ledger.ids)}"
    sql = "SELECT sum(counted), sum(duplicates), sum(too_old) FROM partition"
    ((unique, duplicates, too_old),) = database.rows(sql)
    ((aside,),) = database.rows("SELECT count(*) FROM quarantine")
    world.network.sometimes["duplicates of before"] += duplicates
    assert unique == len(ledger.ids), f"I10: {unique} counted of {len(ledger.ids)}"
    assert too_old == ledger.too_old, f"I10: {too_old} too old, not {ledger.too_old}"
    if direct:
        assert duplicates == ledger.duplicates, f"I10: {duplicates} of {ledger.duplicates} twice"
        assert aside == ledger.poison, f"I10: {aside} put aside, not {ledger.poison}"


def check_scoring(world: World, replay: Replay) -> None:
    """I3, I4, I6 and I9: the same rows and records as of an undisturbed run over the same log."""
    database = world.fleet.databases["scoring"]
    for partition in range(world.partitions):
        log = world.broker.log(TopicPartition(USAGE_ACCEPTED, partition))
        ends = {line[3] for line in database.audit if line[0] == partition}
        replay.score(partition, log, sorted(ends) if world.live else [len(log)])
    compare(database, replay.databases["scoring"], OWN if world.live else _joined(OWN, BY_BATCH))
    for partition in range(world.partitions):
        place = TopicPartition(HEALTH_CHANGES, partition)
        check_sent(world.broker.log(place), replay.health(partition), f"{place.topic} {partition}")


def check_alerts(world: World, replay: Replay) -> None:
    """I6: the same alerts, and the same notifications, as of every record once and in order."""
    for partition in range(world.partitions):
        log = world.broker.log(TopicPartition(HEALTH_CHANGES, partition))
        first = {(record.key, record.value): record for record in reversed(log)}
        once = sorted(first.values(), key=lambda record: record.offset)
        replay.alert(partition, [replace(record, offset=at) for at, record in enumerate(once)])
    but = {"partition": OWN["partition"] | {"next", "repeated"}}
    compare(world.fleet.databases["alerts"], replay.databases["alerts"], but)


def check_sent(sent: Iterable[Any], expected: Iterable[Any], where: str) -> None:
    """Every record, at least once, and in its order when it comes first."""
    first = list(dict.fromkeys((record.key, record.value) for record in sent))
    wanted = list(dict.fromkeys((record.key, record.value) for record in expected))
    assert set(first) == set(wanted), f"I6: {where}: {set(first) ^ set(wanted)}"
    assert first == wanted, f"I6: {where}: out of order"


def compare(found: Database, expected: Database, but: dict[str, set[str]]) -> None:
    """Row for row."""
    for (table,) in found.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
        names = [row[1] for row in found.rows(f"PRAGMA table_info({table})")]
        columns = ", ".join(name for name in names if name not in but.get(table, ()))
        if columns:
            sql = f"SELECT {columns} FROM {table} ORDER BY {columns}"
            one, other = found.rows(sql), expected.rows(sql)
            assert one == other, f"I3: {found.service}.{table}: {difference(one, other)}"


def difference(found: Iterable[Any], expected: Iterable[Any]) -> str:
    """What the one has and the other has not."""
    one, other = Counter(found), Counter(expected)
    return f"too much {dict(one - other)}, missing {dict(other - one)}"[:2_000]


def _joined(*parts: dict[str, set[str]]) -> dict[str, set[str]]:
    names = {name for part in parts for name in part}
    return {name: set().union(*(part.get(name, set()) for part in parts)) for name in names}
