"""`python -m tests.simulation`: many seeds on all cores, or one seed again."""

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.run import Report, run

CHUNK = 50


def main() -> int:
    """Run the seeds; 1 if anything is wrong with any of them."""
    options = argparse.ArgumentParser(prog="python -m tests.simulation")
    options.add_argument("--seeds", type=int, default=1_000, help="how many (default 1000)")
    options.add_argument("--first", type=int, default=0, help="the first one (default 0)")
    options.add_argument("--only", type=int, help="just this one")
    options.add_argument("--stop", action="store_true", help="at the first one that fails")
    given = options.parse_args()
    first, seeds = (given.first, given.seeds) if given.only is None else (given.only, 1)
    whole = Report()
    for report in _reports(first, seeds):
        whole.merge(report)
        for fault in report.faults:
            sys.stdout.write(f"{fault}\n\n")
        sys.stdout.flush()
        if given.stop and whole.faults:
            break
    seldom = whole.seldom() if given.only is None else []
    for what, count in sorted(whole.sometimes.items()):
        sys.stdout.write(f"{count:8} {what}\n")
    for what in seldom:
        sys.stdout.write(f"too seldom: {what}\n")
    sys.stdout.write(f"{whole.seeds} seeds, {len(whole.faults)} failed\n")
    return 1 if whole.faults or seldom else 0


def _reports(first: int, seeds: int) -> Iterator[Report]:
    """By chunks, as they come."""
    starts = range(first, first + seeds, CHUNK)
    chunks = [range(start, min(start + CHUNK, first + seeds)) for start in starts]
    if len(chunks) == 1:
        yield run(chunks[0])
        return
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        try:
            yield from pool.map(run, chunks)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


if __name__ == "__main__":
    sys.exit(main())
