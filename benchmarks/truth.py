"""What the shipped configuration foretells of real histories, beside plain predictors.

    python -m benchmarks.truth DIRECTORY NAME…

DIRECTORY holds, for each NAME, NAME.events.ndjson.gz and, for the plain predictors of the same
accounts at the same cut-offs, NAME.labels.parquet. Prints the table of docs/truth.md.
"""

import argparse
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console

from services.scoring.backtest.command import Asked, backtest
from services.scoring.backtest.figures import Figures, figures, mean
from services.scoring.backtest.report import Report
from shared.configuration.files import SHIPPED
from shared.runtime import now_ms

SIGNS = {"recency": 1, "n28": -1, "change": -1, "users28": -1, "mbg_silent90": 1, "gboost": 1}
"""The columns of the labels, and whether more of it is worse."""

TITLES = {
    "recency": "days since the last event",
    "n28": "events in 28 days",
    "change": "28 days against the 28 before",
    "users28": "users in 28 days",
    "mbg_silent90": "MBG/NBD, fitted by maximum likelihood",
    "gboost": "gradient boosting, trained on the past's labels",
}


def plain(path: Path) -> dict[str, list[Figures]]:
    """The figures of each plain predictor, at each tested cut-off."""
    by_cutoff: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in pq.read_table(path).to_pylist():
        if row["is_test"]:
            by_cutoff[row["cutoff"]].append(row)
    found: dict[str, list[Figures]] = {name: [] for name in SIGNS}
    for rows in by_cutoff.values():
        happened = np.array([row["silent_next90"] == 1 for row in rows])
        for name, sign in SIGNS.items():
            values = np.array([row[name] for row in rows], dtype=np.float64)
            found[name].append(figures(np.clip(sign * values, -1e9, 1e9), happened))
    return found


def ours(path: Path) -> tuple[Report, float]:
    """The whole backtest, and the seconds that it took."""
    start = time.perf_counter()
    asked = Asked([path], 90, None, [SHIPPED])
    found = backtest(asked, now_ms(), Console(stderr=True))
    return found, time.perf_counter() - start


def main() -> None:
    """Print a table for each history."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("names", nargs="+")
    given = parser.parse_args()
    for name in given.names:
        report, seconds = ours(given.directory / f"{name}.events.ndjson.gz")
        cutoffs = report.judgement.cutoffs
        n = sum(each.all.n for each in cutoffs)
        new = sum(each.unknown["score"].n for each in cutoffs)
        print(f"{name}: {len(cutoffs)} cut-offs, {n} accounts ({new} new), {seconds:.1f} s")
        labels = given.directory / f"{name}.labels.parquet"
        for key, found in plain(labels).items() if labels.exists() else ():
            row(
                TITLES[key], mean([each.auc for each in found]), mean([each.lift for each in found])
            )
        for subject, means in report.judgement.means.items():
            row(subject, means.auc, means.lift)
            row(f"{subject}: calibration error", report.judgement.calibration[subject].ece)
        for band, share in report.judgement.bands.items():
            print(f"  {band:48} {share.happened} of {share.n} fell silent")


def row(title: str, *values: float | None) -> None:
    """One line of the table: AUC and lift, or another figure."""
    cells = " / ".join("–" if value is None else f"{value:.3f}" for value in values)
    print(f"  {title:48} {cells}")


if __name__ == "__main__":
    main()
