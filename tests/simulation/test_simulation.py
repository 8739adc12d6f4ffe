"""Thousands of seeded worlds: nothing lost, nothing counted twice, whatever fails at any await."""

import pytest

from tests.simulation.run import Report, run

SEEDS = 5_000
PARTS = 20
SAME = range(3)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_breaks_a_promise(part: int) -> None:
    each = SEEDS // PARTS
    report = run(range(part * each, (part + 1) * each))
    assert not report.faults, "\n\n".join(report.faults)
    assert not report.seldom()


def test_a_seed_does_the_same_every_time() -> None:
    def once() -> Report:
        return run(SAME)

    assert once() == once()
