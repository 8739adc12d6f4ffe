"""The state that reads the kept log, and what it has to tell."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from services.scoring.engine.backfill.piece import Arrays, Piece, PieceFact, packed
from services.scoring.engine.effects import Effects
from services.scoring.engine.facts import LATEST
from services.scoring.engine.open_keys import OPEN
from services.scoring.engine.plan import Plan
from services.scoring.engine.replan import replan
from services.scoring.engine.state import (
    NEVER,
    ActiveDays,
    DaySets,
    Latest,
    OpenKeys,
    SignalState,
    State,
)
from services.scoring.engine.success.plan import SuccessPlan
from services.scoring.engine.sums import DaySums
from services.scoring.engine.table import IntArray, keys_of
from services.scoring.engine.users.state import UserDays

PIECE_ACCOUNTS = 20_000
"""What was learned is told of so many accounts at a time."""


def reading_plan(plan: Plan, definitions: Sequence[str]) -> Plan:
    """Of a plan only some signals: it scores nobody."""
    signals = tuple(signal for signal in plan.signals if signal.definition in definitions)
    surveys: frozenset[str] = frozenset()
    told = replace(plan.success.signals, surveys=surveys)
    return replace(
        plan,
        signals=signals,
        windows=(),
        columns=(),
        scorecards=(),
        profile_numbers=(),
        conditions=(),
        parts=(),
        rhythms_ms={},
        engagement=None,
        success=SuccessPlan(matrix=None, onboarding=None, signals=told),
    )


def reading_state(partition: int, hash_seed: int, plan: Plan) -> State:
    """An empty state that collects a plan's signals from the first record on."""
    state = State(partition, hash_seed)
    replan(state, plan, Effects(0), at_offset=0)
    return state


def pieces(state: State, number: int, signal_no: int, since_day: int) -> Iterator[Piece]:
    """What the state has of its signal of this number, in the order of the accounts.

    At least one piece, for it also says from which day on the log tells all.
    """
    kept = state.signals[number]
    for start in range(0, max(1, state.accounts.count), PIECE_ACCOUNTS):
        end = min(start + PIECE_ACCOUNTS, state.accounts.count)
        arrays = _TOLD[type(kept)](state, kept, start, end)
        yield Piece(
            signal_no=signal_no,
            since_day=since_day,
            as_of_day=state.day,
            account_ids=state.accounts.ids[start:end],
            columns=packed(arrays),
            facts=list(_facts(state, kept, start, end)),
        )


def _sums(state: State, kept: DaySums, start: int, end: int) -> Arrays:
    accounts = np.arange(start, end)
    days = [*sorted(kept.closed), state.day]
    sums = np.stack([kept.at(day, state.day, accounts) for day in days])
    rows = np.nonzero(sums)
    return {"account": rows[1], "day": np.array(days)[rows[0]], "value": sums[rows]}


def _sets(state: State, kept: DaySets, start: int, end: int) -> Arrays:
    hashes = kept.things.hashes[: kept.things.count]
    return _with_bits(kept, hashes, kept.owners.astype(np.int64), start, end)


def _user_days(state: State, kept: UserDays, start: int, end: int) -> Arrays:
    hashes = state.users.table.hashes[: state.users.count]
    return _with_bits(kept, hashes, state.users.owners.astype(np.int64), start, end)


def _with_bits(
    kept: DaySets | UserDays, hashes: Any, owners: IntArray, start: int, end: int
) -> Arrays:
    used = len(hashes)
    own = (owners[:used] >= start) & (owners[:used] < end)
    own &= (kept.low[:used] | kept.high[:used]) != 0
    places, owners = np.flatnonzero(own), owners[:used][own]
    things = keys_of(hashes[places], -owners)  # without the account's number, which is our own
    low, high = kept.low[places], kept.high[places]
    return {"account": owners - start, "things": things, "low": low, "high": high}


def _active_days(state: State, kept: ActiveDays, start: int, end: int) -> Arrays:
    rows = start + np.flatnonzero(kept.first[start:end] != NEVER)
    names = ("low", "high", "first", "last", "faded")
    return {"account": rows - start} | {name: getattr(kept, name)[rows] for name in names}


def _nothing(state: State, kept: SignalState, start: int, end: int) -> Arrays:
    return {}


def _facts(state: State, kept: SignalState, start: int, end: int) -> Iterator[PieceFact]:
    if isinstance(kept, OpenKeys | Latest):
        prefix = fact_prefix(kept)
        for account in range(start, end):
            for name, fact in state.accounts.facts[account].items():
                if name.startswith(prefix):
                    yield account - start, name.removeprefix(prefix), *fact


def fact_prefix(kept: OpenKeys | Latest) -> str:
    """What the names of a signal's facts begin with."""
    return f"{OPEN}{kept.signal_no}." if isinstance(kept, OpenKeys) else f"{LATEST}{kept.signal_no}"


_TOLD: dict[type, Callable[[State, Any, int, int], Arrays]] = {
    DaySums: _sums,
    DaySets: _sets,
    UserDays: _user_days,
    ActiveDays: _active_days,
    OpenKeys: _nothing,
    Latest: _nothing,
}
