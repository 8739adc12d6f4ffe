"""The shipped configuration on two real histories, paired with labels that others made of them.

MYAKU_TEST_DATA names a directory with nova and kafka, each as .events.ndjson.gz and
.labels.parquet. Without it there is nothing to read, and the tests are skipped.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from services.scoring.backtest.cutoffs import cutoffs
from services.scoring.backtest.figures import LEAST_OF_EACH, auc
from services.scoring.backtest.outcomes import Silence
from services.scoring.backtest.play import Backtest, Reading
from services.scoring.backtest.summary import said
from services.scoring.engine.calendar import iso_day
from shared.configuration.files import SHIPPED, read_document
from shared.history.merge import merge, survey

DATA = os.environ.get("MYAKU_TEST_DATA")
LATEST_MS = 2_000_000_000_000
HORIZON_DAYS = 90


def play(name: str) -> list[Reading]:
    """Every cut-off of a history under the shipped configuration."""
    file = survey(Path(DATA or "") / f"{name}.events.ndjson.gz", LATEST_MS)
    test = Backtest([read_document(SHIPPED)], Silence(HORIZON_DAYS), LATEST_MS)
    first, last = (test.calendar.day_of(each) for each in (file.first_ms, file.last_ms))
    lines = merge([file], LATEST_MS, file.path.parent)
    test.play(lines, cutoffs(first, last, HORIZON_DAYS), lambda count: None)
    return test.readings


def labels(name: str) -> list[dict[str, Any]]:
    """The rows of the label file."""
    return pq.read_table(Path(DATA or "") / f"{name}.labels.parquet").to_pylist()


def mean_auc(readings: list[Reading], truth: dict[tuple[str, str], int], subject: str) -> float:
    """Over the tested cut-offs, of what was said and what the labels say came."""
    found = []
    for reading in readings:
        day = iso_day(reading.cutoff.day)
        happened = np.array([truth[day, account] == 1 for account in reading.accounts])
        values = said(reading.stated[0], subject)
        known = ~np.isnan(values)
        came = int(happened[known].sum())
        if reading.cutoff.is_test and min(came, int(known.sum()) - came) >= LEAST_OF_EACH:
            found.append(auc(values[known], happened[known]))
    return sum(found) / len(found)


@pytest.mark.skipif(DATA is None, reason="MYAKU_TEST_DATA names no directory of histories")
@pytest.mark.parametrize(
    ("name", "least_risk", "least_score"), [("nova", 0.870, 0.870), ("kafka", 0.873, 0.870)]
)
def test_the_shipped_configuration_foretells_silence(
    name: str, least_risk: float, least_score: float
) -> None:
    rows, readings = labels(name), play(name)
    assert [(iso_day(each.cutoff.day), each.cutoff.is_test) for each in readings] == sorted(
        {(row["cutoff"], row["is_test"]) for row in rows}
    )
    truth = {(row["cutoff"], row["account_id"]): row["silent_next90"] for row in rows}
    ours = {
        (iso_day(reading.cutoff.day), account): int(silent)
        for reading in readings
        for account, silent in zip(reading.accounts, reading.happened.tolist(), strict=True)
    }
    assert ours == truth
    assert mean_auc(readings, truth, "silence_risk") >= least_risk
    assert mean_auc(readings, truth, "score") >= least_score
