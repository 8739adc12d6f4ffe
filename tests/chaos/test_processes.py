"""Real processes under faults, on both brokers: nothing is lost, nothing counted twice.

More of it: `make chaos-processes`, or `python -m tests.chaos --seed S --broker B --faults N`.
"""

from pathlib import Path

import pytest

from tests.chaos.__main__ import play
from tests.chaos.actions import draw

FAULTS = 7


@pytest.mark.parametrize(("broker", "seed"), [("tansu", 5), ("apache-kafka", 8)])
async def test_what_the_ledger_says_is_counted_and_told_once(
    broker: str, seed: int, tmp_path: Path
) -> None:
    assert "I1 events" in await play(seed, broker, FAULTS, tmp_path)


def test_a_list_of_faults_is_the_seeds() -> None:
    actions = draw(3, 60, keeps_log=True)
    assert actions == draw(3, 60, keeps_log=True)
    assert actions != draw(4, 60, keeps_log=True)
    assert {action.what for action in actions} >= {"kill", "fail", "restart_broker", "turn_day"}
