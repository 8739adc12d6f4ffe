"""The engine's step: records of one partition in, effects out."""

from collections.abc import Callable

import numpy as np
from msgspec.structs import replace

from services.scoring.engine.backfill.taking import take_in
from services.scoring.engine.close import score_close
from services.scoring.engine.columns import Columns, LogRecord, RawRecord
from services.scoring.engine.compile import compile_plan
from services.scoring.engine.decode import Batch, Quarantined, Record, decode
from services.scoring.engine.dedupe import first_seen, forget
from services.scoring.engine.effects import Effects
from services.scoring.engine.erasures import erase
from services.scoring.engine.evaluate import Evaluation, evaluate
from services.scoring.engine.fold import fold
from services.scoring.engine.freshness import declare, turn_stale
from services.scoring.engine.measure import measure
from services.scoring.engine.overrides import end_overrides
from services.scoring.engine.properties import with_properties
from services.scoring.engine.publish import publish
from services.scoring.engine.replan import replan
from services.scoring.engine.sources import count_rejected, hear, learn
from services.scoring.engine.state import Held, State
from services.scoring.engine.success.key_users import find_key_users
from services.scoring.engine.success.onboarding import latch
from services.scoring.engine.success.signals import forget as forget_signals
from services.scoring.engine.success.signals import unname
from services.scoring.engine.table import IntArray
from services.scoring.engine.users.days import turn_users
from services.scoring.engine.users.ranks import forget_person, rank_users
from services.scoring.engine.windows import turn_day
from shared.configuration import InvalidConfiguration, scoring_revision
from shared.events import (
    BARRIER,
    CONFIG,
    TICK,
    Backfilled,
    Barrier,
    Config,
    Erasure,
    Mode,
    Tick,
    decode_control,
    encode,
)
from shared.times import iso_time, time_ms

WAITING = -1
"""The day under which records are held that came before the first configuration."""


def advance(state: State, batch: Batch, home_of: Callable[[str], int]) -> Effects:
    """Take in a batch of decoded records; `state` moves on in place.

    `home_of` gives the partition of an account id: a record in another one is put aside. The same
    records give the same state and, in history, the same outbox, however they are split into
    batches. The end of a call is the end of a batch: live, what was touched is published.
    """
    step = _Step(state, home_of)
    step.effects.quarantined.extend(batch.bad)
    step.read(batch)
    step.end_of_batch()
    return step.effects


class _Step:
    def __init__(self, state: State, home_of: Callable[[str], int]) -> None:
        self.state = state
        self.home_of = home_of
        self.effects = Effects(state.number())

    def read(self, batch: Batch) -> None:
        """Handle records in order, events in runs between control records."""
        start = 0
        for end, record in batch.controls:
            self._events(batch.events.part(start, end))
            self._control(record)
            start = end
        self._events(batch.events.part(start, len(batch.events)))

    def end_of_batch(self) -> None:
        if self.state.clock.live:
            self._publish_touched()

    def _control(self, record: Record) -> None:
        body = record.body
        if self.state.plan is None and not isinstance(body, Config):
            self._hold(WAITING, RawRecord(record.offset, record.key, record.value))
        elif isinstance(body, Tick):
            self._tick(body, record.offset)
        elif isinstance(body, Config):
            self._config(record)
        elif isinstance(body, Erasure):
            forget_person(self.state, body.user_id, time_ms(body.time), self.effects)
            unname(self.state, body.user_id, time_ms(body.time), self.effects)
            erase(self.state, body, self.effects)
        elif isinstance(body, Backfilled):
            take_in(self.state, self.state.learned.pop(body.id, []), self.effects)
            self.effects.backfills.append(body.id)
        elif isinstance(body, Barrier):
            self.end_of_batch()
            self.effects.outbox.append((BARRIER.encode(), record.value))

    def _events(self, batch: Columns) -> None:
        state = self.state
        if state.plan is None:
            for record in batch.records:
                self._hold(WAITING, record)
            return
        batch = self._ours(batch)
        if not len(batch):
            return
        batch = batch.take(np.flatnonzero(first_seen(state, batch, self.effects)))
        ahead = state.is_ahead(batch.times_ms)
        for position in np.flatnonzero(ahead).tolist():
            day = state.plan.calendar.day_of(int(batch.times_ms[position]))
            self._hold(day, batch.records[position])
        self._fold(batch.take(np.flatnonzero(~ahead)))

    def _ours(self, batch: Columns) -> Columns:
        """The events that are ours and can be read; the others are put aside."""
        assert self.state.plan is not None
        foreign = np.zeros(len(batch), dtype=bool)
        unknown = self.state.accounts.table.find(batch.accounts) < 0  # known ones are ours
        for position in np.flatnonzero(unknown).tolist():
            account_id = batch.events[position].account_id
            home = self.home_of(account_id)
            if home != self.state.partition:
                foreign[position] = True
                record = batch.records[position]
                reason = f"account {account_id!r} belongs to partition {home}"
                bad = Quarantined(record.offset, reason, record.value or b"")
                self.effects.quarantined.append(bad)
        ours = batch.take(np.flatnonzero(~foreign))
        ahead = self.state.is_ahead(ours.times_ms)
        return with_properties(self.state.plan, ours, ahead, self.effects.quarantined)

    def _fold(self, batch: Columns) -> None:
        if len(batch):
            fold(self.state, batch, self.effects)

    def _hold(self, day: int, record: LogRecord) -> None:
        held = Held(day, self.state.number(), record.key, record.value or b"", record.offset)
        self.state.held.setdefault(day, []).append(held)
        self.effects.held.append(held)

    def _release(self, day: int) -> Batch:
        """The records held for a day, in the order of their arrival."""
        held = self.state.held.pop(day, [])
        if held:
            self.effects.released_days.append(day)
        return decode(held, self.state)

    def _fold_held(self, day: int) -> None:
        self._fold(self._ours(self._release(day).events))

    def _config(self, record: Record) -> None:
        assert isinstance(record.body, Config)
        try:
            plan = compile_plan(record.body.document)
            if self.state.plan is not None:
                plan.calendar.refuse_other(self.state.plan.calendar)
        except (InvalidConfiguration, KeyError, ValueError) as error:
            self.effects.quarantined.append(Quarantined(record.offset, str(error), record.value))
            return
        self.state.next_config = record.value
        self.effects.config_changed = True
        if self.state.plan is None:
            self._apply_config(record.offset)
            self.read(self._release(WAITING))

    def _apply_config(self, at_offset: int) -> None:
        """Let the configuration that waits take effect, and pass it on."""
        state = self.state
        value, state.next_config = state.next_config, None
        if value is None:
            return
        sequence = _config(state.active_config).sequence + 1 if state.active_config else 1
        config = replace(_config(value), sequence=sequence)
        state.active_config = encode(config)
        self.effects.config_changed = True
        self.effects.outbox.append((CONFIG.encode(), state.active_config))
        if state.plan is None or scoring_revision(config.document) != state.plan.revision:
            replan(state, compile_plan(config.document), self.effects, at_offset=at_offset)
            declare(state, self.effects)

    def _tick(self, tick: Tick, at_offset: int) -> None:
        self._apply_config(at_offset)
        clock, sources = self.state.clock, self.state.sources
        at_ms = time_ms(tick.time)
        count_rejected(sources, tick, clock.now_ms, self.effects.sources)
        if tick.mode == "history":
            if not clock.live and (clock.now_ms is None or at_ms >= clock.now_ms):
                learn(sources, tick, self.effects.sources)
                self._move(at_ms, goes_live=False)
            return
        newest = clock.live_ticks_ms
        hear(sources, tick, newest.get(tick.source_partition), self.effects.sources)
        newest[tick.source_partition] = max(at_ms, newest.get(tick.source_partition, at_ms))
        clock.source_partitions = max(clock.source_partitions, tick.source_partitions)
        if all(source in newest for source in range(clock.source_partitions)):
            least_ms = min(newest[source] for source in range(clock.source_partitions))
            if not clock.live or clock.now_ms is None or least_ms > clock.now_ms:
                self._move(max(least_ms, clock.now_ms or 0), goes_live=True)

    def _move(self, to_ms: int, *, goes_live: bool) -> None:
        """Move the clock: close the days that it passes, then publish what was touched."""
        state, clock = self.state, self.state.clock
        assert state.plan is not None
        before_ms = clock.now_ms
        last_day = state.plan.calendar.day_of(to_ms)
        if before_ms is None:
            clock.now_ms, clock.running_day = to_ms, last_day
            for day in sorted(day for day in state.held if WAITING < day <= last_day):
                self._fold_held(day)
        while clock.running_day < last_day:
            self._close()
        clock.now_ms = to_ms
        end_overrides(state)
        clock.live = clock.live or goes_live
        self._publish(turn_stale(state, to_ms, self.effects), to_ms)
        self._publish_touched()
        if to_ms != before_ms:
            self._relay_clock()

    def _relay_clock(self) -> None:
        clock = self.state.clock
        assert clock.now_ms is not None
        tick = Tick(
            source_partition=0,
            source_partitions=max(1, clock.source_partitions),
            time=iso_time(clock.now_ms),
            mode=self._mode,
        )
        self.effects.outbox.append((TICK.encode(), encode(tick)))

    @property
    def _mode(self) -> Mode:
        return "live" if self.state.clock.live else "history"

    def _publish_touched(self) -> None:
        accounts, now_ms = self.state.accounts, self.state.clock.now_ms
        if now_ms is not None:
            self._publish(np.flatnonzero(accounts.touched[: accounts.count]), now_ms)

    def _publish(self, accounts: IntArray, as_of_ms: int) -> None:
        """Evaluate accounts on the running day, and publish what differs."""
        if len(accounts) and self._scores:
            evaluation = self._evaluate(accounts)
            publish(self.state, evaluation, as_of_ms, self._mode, self.effects)

    def _evaluate(self, accounts: IntArray) -> Evaluation:
        evaluation = evaluate(self.state, accounts)
        self.state.evaluated[:, accounts] = evaluation.parts
        self.state.accounts.touched[accounts] = False
        return evaluation

    @property
    def _scores(self) -> bool:
        """Whether the plan scores: one that only reads the log for signals does not."""
        return self.state.plan is not None and bool(self.state.plan.scorecards)

    def _close(self) -> None:
        """Close the running day: what happened, then what the passing of the day changes."""
        state, accounts = self.state, self.state.accounts
        assert state.plan is not None
        touched = np.flatnonzero(accounts.touched[: accounts.count])
        if len(touched) and self._scores:
            self._evaluate(touched)
        day = state.day
        midnight_ms = state.plan.calendar.begins_ms(day + 1)
        state.clock.now_ms = midnight_ms
        end_overrides(state)
        self._publish(turn_stale(state, midnight_ms, self.effects), midnight_ms)
        turn_day(state, self.effects)
        turn_users(state)
        rank_users(state, midnight_ms, self.effects)
        find_key_users(state, self.effects)
        self.effects.success.reached.update(latch(state, measure))
        if self._scores:
            score_close(state, day, midnight_ms, self._mode, self.effects)
        forget(state, self.effects)
        forget_signals(state)
        self.effects.closed = True
        self._fold_held(state.day)


def _config(value: bytes) -> Config:
    config = decode_control(value)
    assert isinstance(config, Config)
    return config
