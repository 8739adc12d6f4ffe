"""The engine equals the oracle, whatever happens, in whatever batches it is read."""

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.scoring.histories import batches, histories
from tests.scoring.twins import by_engine, by_oracle

EXAMPLES = float(os.environ.get("MYAKU_TEST_EXAMPLES", "1"))
"""More examples than usual: MYAKU_TEST_EXAMPLES=20."""


def examples(count: int) -> settings:
    """Settings of a test over `count` examples, the same ones each time."""
    return settings(
        max_examples=int(count * EXAMPLES),
        derandomize=EXAMPLES == 1,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@given(data=st.data())
@examples(120)
def test_a_history_is_scored_as_the_oracle_scores_it(data: st.DataObject) -> None:
    records = data.draw(histories())
    expected = by_oracle([records])
    assert by_engine([records]) == expected
    assert by_engine(data.draw(batches(records))) == expected


@given(data=st.data())
@examples(120)
def test_a_live_log_is_scored_as_the_oracle_scores_it(data: st.DataObject) -> None:
    records = data.draw(histories(data.draw(st.sampled_from((("live",), ("history", "live"))))))
    cut = data.draw(batches(records))
    assert by_engine(cut) == by_oracle(cut)
