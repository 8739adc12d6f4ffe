"""Each guard of the path is missed when it is gone."""

import pytest

from tests.reliability.mutants import MUTANTS, Mutant, survives


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_missing_guard_is_noticed(mutant: Mutant) -> None:
    assert not survives(mutant)
