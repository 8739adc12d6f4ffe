"""A history through the engine, day by day; at each cut-off, what it says is written down."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from services.scoring.backtest.accepted import Acceptance
from services.scoring.backtest.cutoffs import Cutoff
from services.scoring.backtest.figures import BoolArray, FloatArray
from services.scoring.backtest.outcomes import Question, happened, population
from services.scoring.engine import RawRecord, State, advance, decode
from services.scoring.engine.calendar import calendar
from services.scoring.engine.event_types import is_reserved
from services.scoring.engine.measure import measure
from shared.configuration import revision
from shared.events import CONFIG, RESERVED_PREFIX, TICK, Config, Tick, encode
from shared.history.lines import Line
from shared.history.ticks import midnights, with_ticks
from shared.times import iso_time, time_ms

BATCH_EVENTS = 20_000
USE = "active"
"""The group of event types that counts as use, where product.yaml has it."""


class Standing(msgspec.Struct, frozen=True):
    """What the newest health record says of an account."""

    account_id: str
    score: float | None
    band: str | None
    profile: dict[str, Any]

    @property
    def is_judged(self) -> bool:
        """Whether it is a customer still, and a real one."""
        return not (self.profile.get("closed") or self.profile.get("excluded"))


_decode_standing = msgspec.json.Decoder(Standing).decode
_RESERVED = RESERVED_PREFIX.encode()


@dataclass
class Stated:
    """What one configuration said of the accounts asked about; NaN and None where nothing."""

    risks: FloatArray  # [account], silence_risk
    scores: FloatArray  # [account]
    bands: list[str | None]  # [account]


@dataclass
class Reading:
    """A cut-off: of whom it was asked, what came, and what each configuration had said."""

    cutoff: Cutoff
    accounts: list[str]
    happened: BoolArray  # [account]
    stated: list[Stated]  # [configuration]


@dataclass
class Scorer:
    """One configuration at work."""

    document: dict[str, Any]
    state: State = field(default_factory=lambda: State(0, hash_seed=0))
    standing: dict[str, Standing] = field(default_factory=dict)
    duplicates: int = 0

    def __post_init__(self) -> None:
        config = Config(revision(self.document), self.document)
        self.read([RawRecord(0, CONFIG.encode(), encode(config))])

    def read(self, records: Iterable[RawRecord]) -> None:
        """Take in records; of what is published, the newest of each account is kept."""
        effects = advance(self.state, decode(records, self.state), lambda account_id: 0)
        self.duplicates += effects.duplicates
        for key, value in effects.outbox:
            if not key.startswith(_RESERVED):
                said = _decode_standing(value)
                self.standing[said.account_id] = said

    def stated(self, accounts: Sequence[str]) -> Stated:
        """What it says now."""
        said = [self.standing.get(account) for account in accounts]
        scores = [each.score if each else None for each in said]
        bands = [each.band if each else None for each in said]
        return Stated(self._risks(accounts), np.array(scores, dtype=np.float64), bands)

    def _risks(self, accounts: Sequence[str]) -> FloatArray:
        """Silence risk, from the engine: records show it too, but only when the score moves."""
        plan = self.state.plan
        risks = np.full(len(accounts), np.nan)
        if plan is None or plan.silence_column is None:
            return risks
        numbers = {account: number for number, account in enumerate(self.state.accounts.ids)}
        known = [at for at, account in enumerate(accounts) if account in numbers]
        places = np.array([numbers[accounts[at]] for at in known], dtype=np.int64)
        risks[known] = measure(self.state, places)[plan.silence_column]
        return risks


class Backtest:
    """One history, some configurations, one question."""

    def __init__(
        self, documents: Sequence[dict[str, Any]], question: Question, received_ms: int
    ) -> None:
        product = documents[0]["product"]
        self.question = question
        self.zone = ZoneInfo(product.get("time_zone", "UTC"))
        self.calendar = calendar(self.zone.key)
        self.scorers = [Scorer(document) for document in documents]
        self.acceptance = Acceptance(received_ms)
        self.events = 0
        self.readings: list[Reading] = []
        self._use = frozenset(product.get("events", {}).get(USE, ["*"]))
        self._newest_use: dict[str, int] = {}
        self._open: list[Reading] = []
        self._batch: list[RawRecord] = []

    def play(
        self, lines: Iterable[Line], cutoffs: Sequence[Cutoff], said: Callable[[int], None]
    ) -> None:
        """Play the lines, which are in the order of time. `said` is told the lines read so far."""
        waiting = list(reversed(cutoffs))
        last_day = max(max(cutoff.day, cutoff.until) for cutoff in cutoffs)
        count = 0
        for item in self._with_all_midnights(lines, last_day):
            if isinstance(item, Line):
                count += 1
                self._take(item)
                continue
            self._advance(item)
            day = self.calendar.day_of(time_ms(item.time))
            while waiting and waiting[-1].day <= day:
                self._cut(waiting.pop())
            self._settle(day)
            said(count)

    def _with_all_midnights(self, lines: Iterable[Line], last_day: int) -> Iterator[Line | Tick]:
        """A history's lines and ticks, and midnights to the last cut-off where that is later."""
        end_ms = 0
        for item in with_ticks(lines, self.zone, 1):
            if isinstance(item, Tick):
                end_ms = time_ms(item.time)
            yield item
        last_ms = self.calendar.begins_ms(last_day)
        for midnight_ms in takewhile(lambda each: each <= last_ms, midnights(self.zone, end_ms)):
            if midnight_ms > end_ms:
                yield Tick(0, 1, iso_time(midnight_ms), "history")

    def _take(self, line: Line) -> None:
        event = self.acceptance.accept(line)
        if event is None:
            return
        self.events += 1
        self._batch.append(RawRecord(self.events, event.account_id.encode(), event.value))
        if event.type in self._use or ("*" in self._use and not is_reserved(event.type)):
            day = self.calendar.day_of(event.time_ms)
            self._newest_use[event.account_id] = max(day, self._newest_use.get(event.account_id, 0))
        if len(self._batch) >= BATCH_EVENTS:
            self._flush()

    def _advance(self, tick: Tick) -> None:
        self._batch.append(RawRecord(self.events, TICK.encode(), encode(tick)))
        self._flush()

    def _flush(self) -> None:
        for scorer in self.scorers:
            scorer.read(self._batch)
        self._batch.clear()

    def _cut(self, cutoff: Cutoff) -> None:
        """Write down what is said at the beginning of the cut-off's day."""
        standing = self.scorers[0].standing
        accounts = [
            account
            for account in population(self.question, cutoff, self._newest_use)
            if account not in standing or standing[account].is_judged
        ]
        stated = [scorer.stated(accounts) for scorer in self.scorers]
        self._open.append(Reading(cutoff, accounts, np.zeros(len(accounts), bool), stated))

    def _settle(self, day: int) -> None:
        """Write down what came, where the horizon has ended."""
        for reading in [each for each in self._open if each.cutoff.until <= day]:
            for at, account in enumerate(reading.accounts):
                reading.happened[at] = happened(
                    self.question, reading.cutoff, account, self._newest_use
                )
            self._open.remove(reading)
            self.readings.append(reading)
