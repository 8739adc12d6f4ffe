"""Metrics on the days to come: what they will be when the days have really been closed."""

from typing import Any

import numpy as np
import pytest

from services.scoring.engine import State
from services.scoring.engine.forecast.falling import can_only_fall
from services.scoring.engine.forecast.onboarding import reach_milestones
from services.scoring.engine.forecast.scores import scores_ahead
from services.scoring.engine.forecast.silence import AHEAD_DAYS, Ahead, Silence
from services.scoring.engine.measure import measure, values_of
from services.scoring.engine.table import FloatArray
from shared.configuration.files import SHIPPED, read_document
from tests.scoring.documents import METRICS, document
from tests.scoring.histories import DAY, HOUR, START, config, tick
from tests.scoring.test_crosses import told_of
from tests.scoring.twins import Engine

SEEDS = range(8)
EVERY_DAY = np.arange(1, AHEAD_DAYS + 1)
ENGAGEMENT = {
    "usage": {"of": "active", "window": "28d", "full_days": 4, "points": 60},
    "signals": {"exports": {"of": "export.made", "window": "90d", "points": 15, "cap": 40}},
    "ranks": {"SS": {"score": 90, "usage_rate": 0.9}, "S": {"score": 70},
              "A": {"score": 50}, "B": {"score": 30}, "C": {"score": 10}},
}  # fmt: skip
ONBOARDING = {
    "milestones": [
        {"id": "kickoff", "title": "Met", "due": "7d"},
        {"id": "setup", "title": "Quiet", "due": "20d",
         "reached": {"metric": "silent", "at_least": 25}},
    ],
    "grace": "60d",
}  # fmt: skip


def past(seed: int, body: dict[str, Any]) -> Engine:
    """An engine that has heard of half a year."""
    engine = Engine(State(0, hash_seed=7))
    engine.read_batch([config(body), tick(START - 20 * DAY), *told_of(seed, START)])
    engine.read_batch([tick(START + HOUR)])
    return engine


def everything() -> dict[str, Any]:
    """A configuration with a metric of every kind."""
    body = document(METRICS | {"onboarding": {"onboarding": "score"}})
    body["product"]["events"] = {"active": ["*"]}
    return body | {"engagement": ENGAGEMENT, "onboarding": ONBOARDING}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_metric_is_foreseen_as_it_comes(seed: int) -> None:
    engine = past(seed, everything())
    state = engine.state
    plan, accounts = state.plan, np.arange(state.accounts.count)
    assert plan is not None
    silence = Silence(state, accounts)
    reach_milestones(silence)
    foreseen = values_of(plan, every_day(silence), range(len(plan.columns)))
    foreseen = foreseen.reshape(len(plan.columns), len(accounts), AHEAD_DAYS)
    first = state.day
    for ahead in EVERY_DAY.tolist():
        engine.read_batch([tick(plan.calendar.begins_ms(first + ahead))])
        values = measure(state, accounts)
        for column, now, then in zip(plan.columns, values, foreseen[..., ahead - 1], strict=True):
            assert now == pytest.approx(then, rel=1e-12, nan_ok=True), (column.name, ahead)


@pytest.mark.parametrize("seed", SEEDS)
def test_who_can_only_fall_never_rises(seed: int) -> None:
    state = past(seed, read_document(SHIPPED)).state
    plan, accounts = state.plan, np.arange(state.accounts.count)
    assert plan is not None
    silence = Silence(state, accounts)
    falling = 0
    for number, card in enumerate(plan.scorecards):
        only = can_only_fall(silence, accounts, card)
        raw = raw_on_every_day(silence, number)
        assert (np.diff(raw[only], axis=1) < 1e-9).all()
        falling += int(only.sum())
    assert falling or seed, "the first of them has some"


def every_day(silence: Silence) -> Ahead:
    """All accounts on all days to come, account by account."""
    count = len(silence.accounts)
    return Ahead(silence, np.repeat(np.arange(count), AHEAD_DAYS), np.tile(EVERY_DAY, count))


def raw_on_every_day(silence: Silence, card: int) -> FloatArray:
    """[account, days ahead − 1]: the scores by a scorecard."""
    ahead = every_day(silence)
    ((_, scores),) = scores_ahead(ahead, np.full(len(ahead), card))
    return scores.raw.reshape(-1, AHEAD_DAYS)
