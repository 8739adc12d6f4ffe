"""What a close does to scores: the day that begins moves everybody's windows."""

import numpy as np

from services.scoring.engine.effects import Effects
from services.scoring.engine.evaluate import evaluate
from services.scoring.engine.history import write_history
from services.scoring.engine.publish import publish
from services.scoring.engine.state import State
from shared.events import Mode


def score_close(state: State, day: int, midnight_ms: int, mode: Mode, effects: Effects) -> None:
    """Evaluate everybody on the day that begins, write `day`'s history, publish what differs."""
    count = state.accounts.count
    evaluation = evaluate(state, np.arange(count))
    moved = evaluation.parts - state.evaluated[:, :count]
    state.time_parts[:, :count] += moved
    effects.marks.append(np.flatnonzero(moved.any(axis=0)))
    state.evaluated[:, :count] = evaluation.parts
    write_history(state, day, evaluation, effects)
    publish(state, evaluation, midnight_ms, mode, effects)
