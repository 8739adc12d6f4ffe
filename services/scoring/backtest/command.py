"""One backtest from its files to its report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from services.scoring.backtest import outcomes
from services.scoring.backtest.cutoffs import Cutoff, cutoffs
from services.scoring.backtest.play import Backtest
from services.scoring.backtest.report import Report
from services.scoring.backtest.summary import compare, judge
from services.scoring.engine.calendar import iso_day
from shared.configuration.files import SHIPPED, read_document
from shared.history.files import on_disk, refuse_missing
from shared.history.lines import NO_TIME
from shared.history.merge import EventFile, merge, survey
from shared.runtime import UserError


@dataclass(frozen=True)
class Asked:
    """What the command line says."""

    files: Sequence[Path]
    horizon_days: int
    outcomes: Path | None
    configurations: Sequence[Path]


def backtest(asked: Asked, now_ms: int, console: Console) -> Report:
    """Read, play and judge; `console` shows how far it is. Raises UserError."""
    refuse_missing(asked.files)
    documents = [read_document(directory) for directory in asked.configurations]
    _check_zones(asked, documents)
    question: outcomes.Question = outcomes.Silence(asked.horizon_days)
    if asked.outcomes:
        question = outcomes.read(asked.outcomes, asked.horizon_days)
    test = Backtest(documents, question, now_ms)
    with (
        TemporaryDirectory(prefix="myaku-backtest-") as scratch,
        _bar(console) as progress,
        on_disk(asked.files, Path(scratch)) as paths,
    ):
        task = progress.add_task("Reading", total=None)
        files = [survey(path, now_ms) for path in paths]
        for remark in filter(None, (file.remark() for file in files)):
            console.print(remark, markup=False, highlight=False, soft_wrap=True)
        chosen, first_day, last_day = _cutoffs(test, files, asked.horizon_days)
        lines = merge(files, now_ms, Path(scratch))
        progress.update(task, description="Scoring", total=sum(file.lines for file in files))
        test.play(lines, chosen, lambda count: progress.update(task, completed=count))
    return _report(asked, test, (first_day, last_day))


def _check_zones(asked: Asked, documents: Sequence[dict[str, Any]]) -> None:
    zones = [str(document["product"].get("time_zone", "UTC")) for document in documents]
    if len(set(zones)) > 1:
        raise UserError(
            f"{asked.configurations[1]} has the time zone {zones[1]}, and the first {zones[0]}:"
            " days that begin at different times cannot be compared."
        )


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        console=console,
        transient=True,
    )


def _cutoffs(
    test: Backtest, files: Sequence[EventFile], horizon_days: int
) -> tuple[list[Cutoff], int, int]:
    """The cut-offs, and the days of the first and the last event. Raises UserError."""
    timed = [file for file in files if file.last_ms != NO_TIME]
    if not timed:
        raise UserError("There are no events in the files.")
    first_day = test.calendar.day_of(min(file.first_ms for file in timed))
    last_day = test.calendar.day_of(max(file.last_ms for file in timed))
    if isinstance(test.question, outcomes.Labels):
        return _inside(test.question.cutoffs, first_day, last_day), first_day, last_day
    chosen = cutoffs(first_day, last_day, horizon_days)
    if not chosen:
        raise UserError(
            f"The history from {iso_day(first_day)} to {iso_day(last_day)} has no cut-off with"
            f" {horizon_days} days behind it: it is too short, or --dormant-after too long."
        )
    return chosen, first_day, last_day


LATER_DAYS_MAX = 366
"""So long after the last event a file may still ask what is said then."""


def _inside(asked: list[Cutoff], first_day: int, last_day: int) -> list[Cutoff]:
    """Cut-offs of a file, where there is something to say at them. Raises UserError."""
    for cutoff in asked:
        if not first_day < cutoff.day <= last_day + LATER_DAYS_MAX:
            raise UserError(
                f"The outcomes have a cut-off on {iso_day(cutoff.day)}, and the history goes from"
                f" {iso_day(first_day)} to {iso_day(last_day)}: nothing is known then."
            )
    return asked


def _report(asked: Asked, test: Backtest, ends: tuple[int, int]) -> Report:
    tested = [reading for reading in test.readings if reading.cutoff.is_test]
    run_in = [reading.cutoff for reading in test.readings if not reading.cutoff.is_test]
    names = [
        "The shipped configuration" if directory == SHIPPED else str(directory)
        for directory in asked.configurations
    ]
    judgements = [
        judge(name, number, tested, _bands(test.scorers[number].document))
        for number, name in enumerate(names)
    ]
    has_two = len(judgements) > 1
    return Report(
        question=test.question.text,
        events=test.events,
        duplicates=test.scorers[0].duplicates,
        refused=dict(test.acceptance.refused.most_common()),
        first_day=iso_day(ends[0]),
        last_day=iso_day(ends[1]),
        run_in=[iso_day(cutoff.day) for cutoff in run_in],
        judgement=judgements[0],
        against=judgements[1] if has_two else None,
        comparison=compare(tested) if has_two else None,
    )


def _bands(document: dict[str, Any]) -> list[str]:
    """The names of the bands, the best first."""
    limits: dict[str, float] = document["scorecards"]["bands"]
    return sorted(limits, key=lambda name: -limits[name])
