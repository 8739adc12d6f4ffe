"""Signals that a configuration added, with the kept log read for them, know what is in it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.scoring.backfill.kept_log import Reading
from services.scoring.backfill.seen_files import SeenFiles
from services.scoring.backfill.waiting import WaitingPartition, WaitingSignal
from services.scoring.engine import Effects, RawRecord, State, advance, decode
from services.scoring.engine.calendar import iso_day
from services.scoring.engine.state import ALWAYS_KNOWN, ActiveDays, Latest, OpenKeys
from services.scoring.engine.sums import DaySums
from services.scoring.engine.users.state import UserDays
from shared.events import (
    BACKFILLED,
    CONFIG,
    TICK,
    Backfilled,
    Crossing,
    decode_health,
    encode,
)
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
from tests.scoring.test_pipeline import log_of
from tests.scoring.test_store import comparable
from tests.scoring.twins import history_rows

PARTITION = 3
START_DAY = START_MS // DAY_MS
Log = list[tuple[bytes, bytes]]


def small() -> dict[str, Any]:
    """A configuration with one metric, which `document()` does not have."""
    found = document(seats=False)
    sums = {"sums": found["scorecards"]["metrics"]["sums"]}
    measures = {"sums": {"weight": 1, "curve": [[0, 0], [9, 100]]}}
    card = {"id": "all", "dimensions": {"use": {"weight": 1, "measures": measures}}}
    found["scorecards"] |= {"metrics": sums, "scorecards": [card]}
    return found


def advanced(state: State, records: Sequence[RawRecord]) -> Effects:
    return advance(state, decode(records, state), lambda _: PARTITION)


def numbered(log: Log) -> list[RawRecord]:
    return [RawRecord(at, *record) for at, record in enumerate(log)]


def wait_of(state: State, *, first: bool = True) -> WaitingPartition:
    """What the tables would tell of a partition's state."""
    assert state.plan is not None
    signals = [
        WaitingSignal(
            kept.signal_no, signal.definition, state.unread[kept.signal_no], kept.since_day
        )
        for signal, kept in zip(state.plan.signals, state.signals, strict=True)
        if kept.signal_no in state.unread
    ]
    return WaitingPartition(
        PARTITION, 4, "log", first, state.hash_seed, state.plan, tuple(signals), dict(state.erased)
    )


def read(waiting: WaitingPartition, log: Log, directory: Path, size: int) -> list[Any]:
    """The pieces of the log, read in batches of a size, encoded and decoded."""
    reading = Reading(waiting, SeenFiles(directory), lambda _: PARTITION)
    until = waiting.signals[0].until_offset
    assert all(signal.until_offset == until for signal in waiting.signals)
    records = log_of(log)[:until]
    for start in range(0, until, size):
        reading.take(records[start : start + size])
    return [piece for signal in waiting.signals for piece in reading.told(signal)]


def let_in(state: State, pieces: list[Any], name: str = "it") -> Effects:
    state.learned[name] = pieces
    return advanced(state, [RawRecord(10**6, BACKFILLED.encode(), encode(Backfilled(name)))])


def known(state: State, *, faded: bool) -> Any:
    """What is known of each signal, whatever its number."""
    assert state.plan is not None
    found: dict[str, Any] = {}
    for definition, since_day, what in [row[1:] for row in comparable(state)["signals"]]:
        found[definition] = since_day, what
    for signal, kept in zip(state.plan.signals, state.signals, strict=True):
        if isinstance(kept, ActiveDays) and not faded:
            since_day, what = found[signal.definition]
            found[signal.definition] = since_day, [_inside(state, kept), *what[2:-1]]
        if isinstance(kept, OpenKeys | Latest):
            prefixes = f"open.{kept.signal_no}.", f"latest.{kept.signal_no}"
            since_day, what = found[signal.definition]
            found[signal.definition] = (
                since_day,
                what[0] if isinstance(kept, OpenKeys) else what,
                [
                    {
                        name.removeprefix(prefixes[0]).removeprefix(prefixes[1]): fact
                        for name, fact in facts.items()
                        if name.startswith(prefixes)
                    }
                    for facts in state.accounts.facts
                ],
            )
        if isinstance(kept, UserDays):
            found[signal.definition] = since_day, _by_user(state, kept)
    return found


def _mask(state: State) -> int:
    return sum(1 << day % 128 for day in range(state.day - 120, state.day + 1))


def _inside(state: State, kept: ActiveDays) -> list[int]:
    words = zip(kept.low, kept.high, range(state.accounts.count), strict=False)
    return [(int(high) << 64 | int(low)) & _mask(state) for low, high, _ in words]


def _by_user(state: State, kept: UserDays) -> Any:
    days = {}
    for user in range(state.users.count):
        if bits := (int(kept.high[user]) << 64 | int(kept.low[user])) & _mask(state):
            thing = int(state.users.table.hashes[user])
            days[int(state.users.owners[user]), thing] = bits
    counts = [each[: state.accounts.count].tolist() for _, each in sorted(kept.counts.items())]
    return days, counts


def random_log(seed: int, count: int) -> Log:
    """Records of all kinds but configurations."""
    chance = RandomLog(seed)
    chance.live = seed % 3 == 1
    found = [tick(START_MS, "live" if chance.live else "history")]
    while len(found) < count:
        record = chance._record()
        if record[0] != CONFIG.encode():
            found.append(record)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_it_equals_a_deployment_that_had_the_signals_from_the_beginning(
    tmp_path: Path, seed: int
) -> None:
    records = random_log(seed, 300)
    before, between, after = records[:180], records[180:240], records[240:]
    if at_once := seed % 2 == 0:
        between = [record for record in between if record[0] != TICK.encode()]
    effect = next(record for record in reversed(before) if record[0] == TICK.encode())
    log = [config(small()), *before, config(document()), effect, *between]
    late, early = State(PARTITION, 7), State(PARTITION, 7)
    for start in range(0, len(log), 37):
        advanced(late, numbered(log)[start : start + 37])
    assert {*late.unread.values()} == {len(before) + 2}
    assert len(late.unread) >= 8
    pieces = read(wait_of(late), log, tmp_path, 1 + seed * 17)
    let_in(late, pieces)
    assert not late.unread
    advanced(early, numbered([config(document()), *before, effect, *between]))
    assert known(late, faded=at_once) == known(early, faded=at_once)
    rest = [RawRecord(len(log) + at, *record) for at, record in enumerate(after)]
    for start in range(0, len(rest), 29):
        advanced(late, rest[start : start + 29])
    advanced(early, rest)
    assert known(late, faded=at_once) == known(early, faded=at_once)


def history() -> Log:
    """An account that exported on 3 of 40 days."""
    days = [
        event(f"e{day}", START_MS + day * DAY_MS + 5, type="exported", user_id=f"u{day}")
        for day in (1, 20, 39)
    ]
    return [config(before_()), tick(START_MS), *days[:1], tick(START_MS + 19 * DAY_MS), days[1],
            tick(START_MS + 40 * DAY_MS), days[2]]  # fmt: skip


def before_() -> dict[str, Any]:
    return _document({"uses": {"count": "*", "window": "28d"}})


def with_exports() -> dict[str, Any]:
    return _document(
        {"uses": {"count": "*", "window": "28d"}, "exports": {"count": "exported", "window": "28d"}}
    )


def _document(metrics: dict[str, Any], good: int = 10) -> dict[str, Any]:
    """One measure of each metric, which is as good as can be at the value `good`."""
    found = small()
    measures = {name: {"weight": 1, "curve": [[0, 0], [good, 100]]} for name in metrics}
    card = {"id": "all", "dimensions": {"use": {"weight": 1, "measures": measures}}}
    found["scorecards"] |= {"metrics": metrics, "scorecards": [card]}
    found["engagement"] = {}
    return found


def changed() -> tuple[State, Log]:
    """A state with a new signal, and its log."""
    log = [*history(), config(with_exports()), tick(START_MS + 40 * DAY_MS + 60_000)]
    state = State(PARTITION, 7)
    advanced(state, numbered(log))
    return state, log


def newest(effects: Effects) -> Any:
    (row,) = effects.health.values()
    return decode_health(row.record)


def test_what_becomes_known_is_published_as_the_scorecard_s_doing(tmp_path: Path) -> None:
    state, log = changed()
    pieces = read(wait_of(state), log, tmp_path, 100)
    let_in(state, pieces)
    health = newest(advanced(state, numbered([tick(START_MS + 40 * DAY_MS + 120_000)])))
    exports = next(driver for driver in health.drivers if driver.measure == "exports")
    assert (exports.value, exports.cause) == (2.0, "scorecard")
    assert [each.cause for driver in health.drivers for each in driver.causes] == ["scorecard"] * 2
    assert health.coverage == 1.0
    later = event("x", START_MS + 40 * DAY_MS + 130_000, type="exported")
    again = newest(advanced(state, numbered([later, tick(START_MS + 40 * DAY_MS + 180_000)])))
    assert {driver.cause for driver in again.drivers} == {"events"}


def test_what_silence_leads_to_is_foreseen_by_what_became_known(tmp_path: Path) -> None:
    """By uses alone it would be on the 48th day; with the exports of before on the 67th."""
    uses = {"uses": {"count": "*", "window": "28d"}}
    more = uses | {"exports": {"count": "exported", "window": "60d"}}
    at_ms = START_MS + 40 * DAY_MS
    rest = [config(_document(more, good=2)), tick(at_ms + 60_000)]
    log = [config(_document(uses, good=2)), *history()[1:], *rest]
    state, twin = State(PARTITION, 7), State(PARTITION, 7)
    assert newest(advanced(state, numbered(log))).crosses == Crossing("watch", _day(48))
    let_in(state, read(wait_of(state), log, tmp_path, 100))
    told = newest(advanced(state, numbered([tick(at_ms + 120_000)]))).crosses

    from_the_first = [rest[0], *history()[1:], rest[1]]
    assert newest(advanced(twin, numbered(from_the_first))).crosses == told
    closed = [row for day in range(41, 70) for row in history_rows(advanced(
        state, numbered([tick(START_MS + day * DAY_MS)])))]  # fmt: skip
    first = next(row for row in closed if row.band == "watch")
    assert told == Crossing("watch", iso_day(first.day)) == Crossing("watch", _day(67))


def _day(number: int) -> str:
    return iso_day(START_DAY + number)


def test_a_partition_without_accounts_has_nothing_to_wait_for(tmp_path: Path) -> None:
    at_ms = START_MS + 9 * DAY_MS
    log = [config(before_()), tick(START_MS), config(with_exports()), tick(at_ms)]
    state = State(PARTITION, 7)
    advanced(state, numbered(log))
    assert state.unread
    let_in(state, read(wait_of(state), log, tmp_path, 100))
    assert not state.unread
    assert {kept.since_day for kept in state.signals} == {ALWAYS_KNOWN}


def test_what_was_taken_in_is_not_taken_in_again(tmp_path: Path) -> None:
    state, log = changed()
    pieces = read(wait_of(state), log, tmp_path, 100)
    let_in(state, pieces)
    first = known(state, faded=True)
    let_in(state, pieces, "again")
    let_in(state, [], "lost")
    assert known(state, faded=True) == first


def test_what_is_no_longer_configured_is_not_taken_in(tmp_path: Path) -> None:
    state, log = changed()
    pieces = read(wait_of(state), log, tmp_path, 100)
    back = [config(before_()), tick(START_MS + 41 * DAY_MS), config(with_exports())]
    advanced(state, numbered([*back, tick(START_MS + 41 * DAY_MS + 60_000)]))
    let_in(state, pieces)
    (waiting,) = state.unread
    kept = next(kept for kept in state.signals if kept.signal_no == waiting)
    assert isinstance(kept, DaySums)
    assert (kept.since_day, kept.running[0]) == (START_DAY + 41, 0)


def test_a_log_that_is_not_the_first_tells_from_its_first_day_on(tmp_path: Path) -> None:
    state, log = changed()
    waiting = wait_of(state, first=False)
    cut = log[:1] + [event("no", START_MS, type="marker")] * 2 + log[3:]
    pieces = read(waiting, cut, tmp_path, 100)
    let_in(state, pieces)
    assert {kept.since_day for kept in state.signals} == {ALWAYS_KNOWN, START_DAY + 19}


def test_who_was_erased_before_the_log_began_stays_one_person(tmp_path: Path) -> None:
    found = _document({"people": {"users": "exported", "window": "28d"}})
    old = [config(before_()), tick(START_MS), erasure("u", START_MS)]
    new = [
        event("1", START_MS + 60_000, type="exported", user_id="u"),
        tick(START_MS + 90_000),
        config(found),
        tick(START_MS + 120_000),
        event("2", START_MS + 130_000, type="exported", user_id="u"),
    ]
    state = State(PARTITION, 7)
    advanced(state, numbered([*old, *new]))
    waiting = wait_of(state, first=False)
    waiting = replace(waiting, signals=(replace(waiting.signals[0], until_offset=3),))
    reading = Reading(waiting, SeenFiles(tmp_path), lambda _: PARTITION)
    records = log_of(new[:3])
    for record in records:
        record.timestamp = START_MS + 1
    reading.take(records)
    let_in(state, list(reading.told(waiting.signals[0])))
    (kept,) = (kept for kept in state.signals if isinstance(kept, UserDays))
    assert [int(each[0]) for each in kept.counts.values()] == [1]
    assert np.count_nonzero(kept.low[:2] | kept.high[:2]) == 1
