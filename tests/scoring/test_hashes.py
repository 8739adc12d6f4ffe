"""The set of hashes against Python's own, and how much it takes."""

import math
import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.engine.hashes import HashSet

HASHES = st.one_of(st.integers(0, 30), st.integers(0, 2**64 - 1))


@given(st.lists(st.lists(HASHES, max_size=40), max_size=30), st.lists(HASHES))
def test_it_holds_what_was_added_and_says_what_was_new(
    batches: list[list[int]], asked: list[int]
) -> None:
    ours, plain = HashSet(), set[int]()
    for batch in batches:
        new = [at for at, one in enumerate(batch) if one not in plain and one not in batch[:at]]
        assert ours.add(np.array(batch, dtype=np.uint64)).tolist() == new
        plain.update(batch)
        assert len(ours) == len(plain)
    found = ours.has(np.array(asked, dtype=np.uint64)).tolist()
    assert found == [one in plain for one in asked]


def test_it_takes_8_bytes_a_hash_in_few_runs() -> None:
    dice = random.Random(1)
    seen = HashSet()
    for _ in range(2_000):
        seen.add(np.array([dice.getrandbits(64) for _ in range(dice.randrange(1, 60))], np.uint64))
    assert sum(run.nbytes for run in seen.runs) == 8 * len(seen)
    assert len(seen.runs) <= math.log2(len(seen)) + 1
    for run, behind in zip(seen.runs, seen.runs[1:], strict=False):
        assert len(run) >= 2 * len(behind)
        assert (np.diff(run.astype(object)) > 0).all()
