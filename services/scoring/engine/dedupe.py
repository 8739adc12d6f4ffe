"""Deduplication by (source, id), in buckets of days."""

import numpy as np

from services.scoring.engine.columns import Columns
from services.scoring.engine.effects import Effects
from services.scoring.engine.hashes import HashSet
from services.scoring.engine.state import State
from services.scoring.engine.table import BoolArray, HashArray, IntArray, distinct
from shared.configuration import HORIZON_DAYS

RECEIPT_DAYS = 7
DAYS_IN_USE = 2
OWN, RECEIPT = 0, 1


def bucket(day: int, family: int) -> int:
    """The number of a bucket: a day's events by their own day, or by the day of receipt."""
    return day * 2 + family


def buckets_of(state: State, batch: Columns) -> tuple[IntArray, IntArray]:
    """For each event its bucket, and the day of its receipt."""
    assert state.plan is not None
    calendar = state.plan.calendar
    own = calendar.days_of(batch.own_ms)
    receipt = calendar.days_of(batch.received_ms)
    if state.clock.now_ms is None:
        return receipt * 2 + RECEIPT, receipt
    usual = (own >= state.day - HORIZON_DAYS) & (own <= state.day + 1)
    return np.where(usual, own * 2 + OWN, receipt * 2 + RECEIPT), receipt


def first_seen(state: State, batch: Columns, effects: Effects) -> BoolArray:
    """Which events were not counted before; they are remembered. [event]"""
    buckets, receipt = buckets_of(state, batch)
    hashes = batch.ids
    fresh = np.zeros(len(hashes), dtype=bool)
    run = np.where(buckets % 2 == RECEIPT, receipt, -1)
    starts = np.flatnonzero(np.diff(run, prepend=run[:1] - 1))
    for start, end in zip(starts, [*starts[1:], len(run)], strict=True):
        part = slice(start, end)
        unknown = ~_in_receipts(state, hashes[part], receipt[part])
        for number in distinct(buckets[part][unknown]).tolist():
            positions = start + np.flatnonzero(unknown & (buckets[part] == number))
            firsts = state.seen.setdefault(number, HashSet()).add(hashes[positions])
            fresh[positions[firsts]] = True
            if len(firsts):
                effects.seen.setdefault(number, []).append(hashes[positions[firsts]])
    effects.duplicates += int(len(fresh) - fresh.sum())
    return fresh


def _in_receipts(state: State, hashes: HashArray, receipt: IntArray) -> BoolArray:
    """Whether an event is in a receipt bucket of a day within 7 days of its own receipt.

    Also of a later one: what is sent again may come from a worker whose clock is behind, and what
    was parked has waited.
    """
    found = np.zeros(len(hashes), dtype=bool)
    for number, seen in state.seen.items():
        if number % 2 == RECEIPT:
            near = np.flatnonzero(np.abs(receipt - number // 2) <= RECEIPT_DAYS)
            if len(near):
                found[near] |= seen.has(hashes[near])
    return found


def wanted(state: State, batch: Columns) -> list[int]:
    """The buckets that the batch may need and that are not in memory."""
    if state.plan is None or not len(batch):
        return []
    own = state.plan.calendar.days_of(batch.own_ms)
    days = distinct(own[own >= state.day - HORIZON_DAYS]).tolist()
    return [number for day in days if (number := bucket(day, OWN)) not in state.seen]


def forget(state: State, effects: Effects) -> None:
    """Drop the buckets that left the horizon, also what this step has put into them."""
    oldest = state.day - HORIZON_DAYS
    for number in [number for number in state.seen if number // 2 < oldest]:
        del state.seen[number]
        effects.seen.pop(number, None)


def evict(state: State) -> None:
    """Drop from memory what Postgres has and no event of these days needs."""
    for number in list(state.seen):
        day, family = divmod(number, 2)
        if family == OWN and day < state.day - DAYS_IN_USE:
            del state.seen[number]
