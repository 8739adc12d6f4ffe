"""The engine and the oracle side by side: what each says of the same records, comparable."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from services.scoring.engine import Effects, RawRecord, State, advance, decode
from services.scoring.engine.success.signals import naming
from shared.kafka import partition_of
from tests.scoring.histories import Record
from tests.scoring.oracle import Oracle
from tests.scoring.oracle_score import json_value

Row = tuple[int | None, str | None, int, str, str, bool]


@dataclass
class Said:
    """All that comes out of a partition."""

    outbox: list[tuple[str, Any]] = field(default_factory=list)
    ranks: list[Any] = field(default_factory=list)
    history: dict[tuple[str, int], Row] = field(default_factory=dict)
    health: dict[str, Any] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    sources: dict[str, Any] = field(default_factory=dict)


@dataclass
class Engine:
    """The engine over some batches, keeping what its effects say."""

    state: State
    home_of: Callable[[str], int] = lambda account: 0
    effects: list[Effects] = field(default_factory=list)
    offset: int = 0

    def read_batch(self, records: Sequence[Record]) -> Effects:
        """Advance over one batch."""
        raw = [RawRecord(self.offset + at, key, value) for at, (key, value) in enumerate(records)]
        self.offset += len(records)
        effects = advance(self.state, decode(raw, self.state), self.home_of)
        self._unname(effects.success.erased)
        self.effects.append(effects)
        return effects

    def _unname(self, erased: Iterable[str]) -> None:
        """Let no newest record of before name who was erased, as in the database."""
        for user in erased:
            named, nameless = naming(user)
            for effects in self.effects:
                for account, row in effects.health.items():
                    record = row.record.replace(named, nameless)
                    effects.health[account] = row._replace(record=record)

    def said(self) -> Said:
        """What the engine said so far."""
        accounts = self.state.accounts
        newest = {
            accounts.ids[account]: row.record
            for effects in self.effects
            for account, row in effects.health.items()
        }
        counters = Counter[str]()
        for effects in self.effects:
            counters["duplicates"] += effects.duplicates
            counters["too_old"] += effects.too_old
            counters["fields_left_out"] += effects.fields_left_out
            counters["quarantined"] += len(effects.quarantined)
        return Said(
            outbox=[
                (key.decode(), with_profile(json.loads(value)))
                for effects in self.effects
                for key, value in effects.outbox
            ],
            ranks=[
                json.loads(change.value) for effects in self.effects for change in effects.ranks
            ],
            history=every_day(
                accounts.ids,
                [row for effects in self.effects for row in history_rows(effects)],
                self.state.day,
            ),
            health={
                identity: with_profile(json.loads(record)) for identity, record in newest.items()
            },
            counters={name: count for name, count in counters.items() if count},
            sources=sources_of(self.state),
        )


def with_profile(value: Any) -> Any:
    """A health record whose profile is compared as JSON is; other records as they are."""
    if "account_id" not in value:
        return value
    return value | {"profile": (value["profile"], json_value(value["profile"]))}


class HistoryRow(NamedTuple):
    """An account's health at a day's end."""

    account: int
    day: int
    tenths: int
    band: str | None
    coverage_hundredths: int
    scorecard: str
    revision: str
    stale: bool


def history_rows(effects: Effects) -> Iterator[HistoryRow]:
    """What the step wrote into the histories."""
    for rows in effects.history:
        for at, number in enumerate(rows.headings.tolist()):
            card, revision, band = rows.known[number]
            numbers = int(rows.accounts[at]), rows.day, int(rows.tenths[at])
            coverage, is_stale = int(rows.coverage[at]), bool(rows.stale[at])
            yield HistoryRow(*numbers, band, coverage, card, revision, is_stale)


def every_day(ids: list[str], rows: Iterable[HistoryRow], running_day: int) -> dict[Any, Row]:
    """A row for each account and closed day; the engine writes one where it differs."""
    history: dict[tuple[str, int], Row] = {}
    by_account: dict[int, list[HistoryRow]] = {}
    for row in rows:
        by_account.setdefault(row.account, []).append(row)
    for account, own in by_account.items():
        ends = [row.day for row in own[1:]] + [running_day]
        for row, end in zip(own, ends, strict=True):
            tenths = None if row.tenths < 0 else row.tenths
            what = (tenths, row.band, row.coverage_hundredths, row.scorecard)
            said = (*what, row.revision, row.stale)
            history |= {(ids[account], day): said for day in range(row.day, end)}
    return history


def oracle_said(oracle: Oracle) -> Said:
    """What the oracle said so far."""
    return Said(
        outbox=[(key, with_profile(value)) for key, value in oracle.outbox],
        ranks=oracle.ranks,
        history={
            (account.id, day): (*row_of(row), day in account.stale_days)
            for account in oracle.accounts.values()
            for day, row in account.history.items()
        },
        health={a.id: with_profile(a.health) for a in oracle.accounts.values() if a.health},
        counters={name: count for name, count in oracle.counters.items() if count},
        sources=oracle.sources.said(oracle.clock),
    )


def row_of(row: Any) -> tuple[int | None, str | None, int, str, str]:
    """What a history row says of an evaluation."""
    return row.tenths, row.band, row.coverage, row.scorecard, row.revision


def sources_of(state: State) -> dict[str, Any]:
    """Each source's status, newest event time, and counts of the last hours."""
    first = (state.clock.now_ms or 0) // 3_600_000 - 24
    return {
        name: (
            source.status,
            source.newest_ms,
            sum(count for hour, count in source.events.items() if hour >= first),
            sum(count for hour, count in source.rejected.items() if hour >= first),
        )
        for name, source in state.sources.known.items()
    }


def by_engine(batches: Iterable[Sequence[Record]], partition: int = 0, partitions: int = 1) -> Said:
    """What the engine says of the batches."""
    home_of = partial(partition_of, partitions=partitions)
    engine = Engine(State(partition, hash_seed=7), home_of)
    for batch in batches:
        engine.read_batch(batch)
    return engine.said()


def by_oracle(batches: Iterable[Sequence[Record]], partition: int = 0, partitions: int = 1) -> Said:
    """What the oracle says of the batches."""
    oracle = Oracle(partition, partitions)
    for batch in batches:
        oracle.read_batch([value for _, value in batch])
    return oracle_said(oracle)


def standing(said: Said) -> Any:
    """What does not depend on where live batches end: each close, and how accounts now stand."""
    names = ("score", "band", "coverage", "scorecard", "profile", "engagement")
    now = {
        account: {name: health[name] for name in names} for account, health in said.health.items()
    }
    return said.history, now, said.counters, said.ranks


def both(*records: Record) -> Said:
    """What the engine says of the records, which the oracle says too."""
    said = by_engine([records])
    assert said == by_oracle([list(records)])
    return said


def value(said: Said, account: str = "acme") -> Any:
    """The first driver's value in the newest health."""
    return said.health[account]["drivers"][0]["value"]
