"""Real processes under faults, on both brokers: nothing is lost, nothing counted twice.

More of it: `make chaos-processes`, or `python -m tests.chaos --seed S --broker B --faults N`.
"""

from pathlib import Path

import pytest

from tests import apache_kafka
from tests.chaos.__main__ import play
from tests.chaos.actions import draw

FAULTS = 7
LOSSES = ("restart_broker", "restart_broker", "restart_broker", "kill")


def need(broker: str) -> None:
    """Skip where the broker cannot be had."""
    if broker != "tansu":
        try:
            apache_kafka.fetch()
        except apache_kafka.Unavailable as why:
            pytest.skip(str(why))


@pytest.mark.parametrize(("broker", "seed"), [("tansu", 1), ("apache-kafka", 7)])
async def test_what_the_ledger_says_is_counted_and_told_once(
    broker: str, seed: int, tmp_path: Path
) -> None:
    need(broker)
    assert "I1 events" in await play(seed, broker, FAULTS, tmp_path)


@pytest.mark.long
async def test_a_broker_of_three_is_lost_three_times_and_nothing_with_it(tmp_path: Path) -> None:
    need("three-kafkas")
    said = await play(1, "three-kafkas", len(LOSSES), tmp_path, LOSSES)
    assert "restart_broker 3" in said


def test_a_list_of_faults_is_the_seeds() -> None:
    actions = draw(3, 60, keeps_log=True)
    assert actions == draw(3, 60, keeps_log=True)
    assert actions != draw(4, 60, keeps_log=True)
    assert {action.what for action in actions} >= {"kill", "fail", "restart_broker", "turn_day"}
