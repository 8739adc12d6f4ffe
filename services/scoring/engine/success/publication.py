"""What customer success adds to a publication: cells, onboardings, and the signals that are due."""

import numpy as np
from msgspec.structs import replace

from services.scoring.engine.effects import Effects
from services.scoring.engine.evaluate import Evaluation
from services.scoring.engine.measure import in_window
from services.scoring.engine.state import State
from services.scoring.engine.success.matrix import cell
from services.scoring.engine.success.onboarding import shown
from services.scoring.engine.success.signals import find_bursts, find_milestones, take
from services.scoring.engine.table import BoolArray, IntArray
from shared.events import Health, encode


def find_signals(state: State, evaluation: Evaluation, effects: Effects) -> None:
    """The signals that come of the evaluated accounts' numbers, if they are not held."""
    accounts, codes = evaluation.accounts, evaluation.onboarding
    held = state.accounts.stale[accounts] & state.published.stale[accounts]
    accounts, codes = accounts[~held], codes[~held]
    find_bursts(state, accounts, in_window, effects)
    for row in np.flatnonzero(codes != state.success.onboarding[accounts]).tolist():
        find_milestones(state, int(accounts[row]), int(codes[row]), effects)


def differs(state: State, evaluation: Evaluation) -> BoolArray:
    """Which accounts have another cell or onboarding than was published, or a signal. [row]"""
    success, accounts = state.success, evaluation.accounts
    changed: BoolArray = (evaluation.matrix != success.matrix[accounts]) | (
        evaluation.onboarding != success.onboarding[accounts]
    )
    if success.pending:
        changed |= np.isin(accounts, list(success.pending))
    return changed


def has_more(state: State, accounts: IntArray) -> BoolArray:
    """Which accounts had more signals to tell than their record took, and are not held."""
    pending = state.success.pending
    if not pending:
        return np.zeros(len(accounts), dtype=bool)
    waiting: BoolArray = np.isin(accounts, list(pending)) & ~state.accounts.stale[accounts]
    return waiting


def complete(
    state: State, evaluation: Evaluation, row: int, health: Health, effects: Effects
) -> tuple[Health, bytes]:
    """The record of a row, with its cell, onboarding and signals, which are not told again.

    Also encoded; one that tells signals is kept, for a new log gets it again.
    """
    assert state.plan is not None
    account = int(evaluation.accounts[row])
    health = replace(
        health,
        signals=take(state, account, effects),
        matrix=cell(state.plan.success.matrix, int(evaluation.matrix[row])),
        onboarding=shown(state, account, int(evaluation.onboarding[row])),
    )
    record = encode(health)
    if health.signals:
        effects.success.records.append((account, health.sequence, state.day, record))
    return health, record


def remember(state: State, evaluation: Evaluation, rows: IntArray, effects: Effects) -> None:
    """Keep what was published of some of the rows."""
    success, accounts = state.success, evaluation.accounts[rows]
    matrix, onboarding = evaluation.matrix[rows], evaluation.onboarding[rows]
    changed = (matrix != success.matrix[accounts]) | (onboarding != success.onboarding[accounts])
    effects.success.published.update(accounts[changed].tolist())
    success.matrix[accounts], success.onboarding[accounts] = matrix, onboarding
