"""A partition's accounts by the configuration in effect and by another, at the same moment."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Any

import numpy as np

from services.scoring.engine import Effects, State
from services.scoring.engine.compile import compile_plan
from services.scoring.engine.evaluate import Evaluation, evaluate, overrides
from services.scoring.engine.explain import explain
from services.scoring.engine.plan import Plan
from services.scoring.engine.replan import replan
from services.scoring.engine.table import IntArray
from services.scoring.preview.crossings import Rules, crossings
from shared.configuration import parse
from shared.events import Config, decode_control

MOST = 10
"""So many accounts are shown that rise most, and as many that fall."""
DRIVERS = 3

NO_SCORE = "no score"


@dataclass(frozen=True)
class Moved:
    """An account whose score would be another."""

    account_id: str
    old: float
    new: float
    drivers: list[tuple[str, float | None, float]]  # (measure, value, change in points)


@dataclass
class Preview:
    """What a configuration would do; of several partitions when they are added up."""

    accounts: int = 0
    stale: int = 0
    overridden: int = 0  # accounts whose score a person has set
    bands: Counter[tuple[str, str]] = field(default_factory=Counter)  # (from, to) → accounts
    rises: list[Moved] = field(default_factory=list)
    falls: list[Moved] = field(default_factory=list)
    old_coverage: float = 0.0  # the sum
    new_coverage: float = 0.0
    less_known: int = 0  # accounts of which less would be known
    begins: Counter[tuple[str, str]] = field(default_factory=Counter)  # (rule, severity)
    ends: Counter[str] = field(default_factory=Counter)  # rule
    unknown: set[str] = field(default_factory=set)  # metrics that nothing was collected for yet

    def add(self, other: "Preview") -> None:
        """Take in another partition's."""
        self.accounts += other.accounts
        self.stale += other.stale
        self.overridden += other.overridden
        self.bands += other.bands
        self.rises = nsmallest(MOST, self.rises + other.rises, key=lambda one: one.old - one.new)
        self.falls = nsmallest(MOST, self.falls + other.falls, key=lambda one: one.new - one.old)
        self.old_coverage += other.old_coverage
        self.new_coverage += other.new_coverage
        self.less_known += other.less_known
        self.begins += other.begins
        self.ends += other.ends
        self.unknown |= other.unknown


def compare(state: State, document: Mapping[str, Any]) -> Preview:
    """What a checked document would do to a partition; its state follows the document after it.

    Closed accounts are left out. Stale ones stay as they are, and are only counted.
    """
    if state.plan is None or state.active_config is None:
        return Preview()
    active = decode_control(state.active_config)
    assert isinstance(active, Config)
    listed = [profile.get("closed") is not True for profile in state.accounts.profiles]
    shown = np.flatnonzero(np.array(listed, dtype=bool))
    stale = state.accounts.stale[shown]
    shown = shown[~stale]
    if not len(shown):
        return Preview(stale=int(stale.sum()))
    plan, old_plan = compile_plan(document), state.plan
    old = evaluate(state, shown)
    if plan.revision != old_plan.revision:
        replan(state, plan, Effects(0), at_offset=0)
    new = evaluate(state, shown)
    found = Preview(accounts=len(shown), stale=int(stale.sum()))
    found.overridden = len(overrides(state, shown)[0])
    found.unknown = _unknown(plan, old_plan)
    _count_bands(found, (old_plan, old), (plan, new))
    _count_coverage(found, old, new)
    _count_crossings(found, state, (_rules(active.document), old), (_rules(document), new))
    known = (old.tenths >= 0) & (new.tenths >= 0)
    change = np.where(known, new.tenths - old.tenths, 0)
    found.rises = _most(state, old, new, _largest(change))
    found.falls = _most(state, old, new, _largest(-change))
    return found


def _rules(document: Mapping[str, Any]) -> Rules:
    return {rule.id: rule for rule in parse(document).alerts.rules}


def _unknown(new: Plan, old: Plan) -> set[str]:
    known = {signal.definition for signal in old.signals}
    return {
        column.name
        for column in new.columns
        if column.signal >= 0 and new.signals[column.signal].definition not in known
    }


def _count_bands(
    found: Preview, old: tuple[Plan, Evaluation], new: tuple[Plan, Evaluation]
) -> None:
    pairs, counts = np.unique(np.stack([old[1].tenths, new[1].tenths]), axis=1, return_counts=True)
    for before, after, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
        bands = old[0].band(before) or NO_SCORE, new[0].band(after) or NO_SCORE
        found.bands[bands] += count


def _count_coverage(found: Preview, old: Evaluation, new: Evaluation) -> None:
    found.old_coverage = float(old.coverage.sum()) / 100
    found.new_coverage = float(new.coverage.sum()) / 100
    found.less_known = int((new.coverage < old.coverage).sum())


def _count_crossings(
    found: Preview, state: State, old: tuple[Rules, Evaluation], new: tuple[Rules, Evaluation]
) -> None:
    """Excluded accounts are never alerted."""
    alerted = [
        row
        for row, account in enumerate(new[1].accounts.tolist())
        if state.accounts.profiles[account].get("excluded") is not True
    ]
    pairs = Counter(
        zip(old[1].tenths[alerted].tolist(), new[1].tenths[alerted].tolist(), strict=True)
    )
    for (before, after), count in pairs.items():
        scores = [None if tenths < 0 else tenths / 10 for tenths in (before, after)]
        begins, ends = crossings(old[0], new[0], scores[0], scores[1])
        found.begins.update(dict.fromkeys(begins, count))
        found.ends.update(dict.fromkeys(ends, count))


def _largest(changes: IntArray) -> IntArray:
    """The rows of the largest changes above 0, ascending."""
    some = np.argsort(-changes, kind="stable")[:MOST]
    return np.sort(some[changes[some] > 0])


def _most(state: State, old: Evaluation, new: Evaluation, rows: IntArray) -> list[Moved]:
    accounts = new.accounts[rows]
    moved = [
        Moved(
            account_id=state.accounts.ids[accounts[each.row]],
            old=int(old.tenths[rows[each.row]]) / 10,
            new=int(new.tenths[rows[each.row]]) / 10,
            drivers=_drivers(each.drivers),
        )
        for each in explain(state, accounts, new.cards[rows])
    ]
    return sorted(moved, key=lambda one: -abs(one.new - one.old))


def _drivers(drivers: Iterable[Any]) -> list[tuple[str, float | None, float]]:
    most = nsmallest(DRIVERS, drivers, key=lambda driver: -abs(driver.change))
    return [(driver.measure, driver.value, driver.change) for driver in most if driver.change]
