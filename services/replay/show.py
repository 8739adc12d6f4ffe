"""What whoever sits at the terminal sees of a replay."""

from collections import Counter
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
)
from rich.table import Table
from rich.text import Text

from services.replay.outcome import Outcome


class SpeedColumn(ProgressColumn):
    """Events a second."""

    def render(self, task: Task) -> Text:
        """Nothing until it is known."""
        return Text(f"{task.speed:,.0f} events/s" if task.speed else "")


@dataclass(frozen=True)
class Summary:
    """One run. `sent` lines in it, `earlier` ones in runs that were interrupted."""

    sent: int
    earlier: int
    seconds: float
    outcome: Outcome | None


def bar(console: Console) -> Progress:
    """A progress bar whose tasks have a field `note`."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        SpeedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
    )


def table(summary: Summary) -> Table:
    """The figures of a run."""
    shown = Table(show_header=False, title="In this run" if summary.earlier else "Replayed")
    shown.add_column()
    shown.add_column(justify="right")
    if summary.earlier:
        shown.add_row("sent by runs before it", f"{summary.earlier:,}")
    nothing_left = " (all were sent before)" if summary.earlier and not summary.sent else ""
    shown.add_row("events sent", f"{summary.sent:,}{nothing_left}")
    if summary.outcome and summary.sent:
        _add_outcome(shown, summary.sent, summary.outcome)
    per_second = summary.sent / summary.seconds if summary.seconds else 0
    pace = f" ({per_second:,.0f} events/s)" if per_second >= 1 else ""
    shown.add_row("time", f"{summary.seconds:,.1f} s{pace}")
    return shown


def _add_outcome(shown: Table, sent: int, outcome: Outcome) -> None:
    refused: Counter[str] = outcome.refused
    shown.add_row("accepted", f"{sent - refused.total():,}")
    shown.add_row("  of them duplicates", f"{outcome.duplicates:,}")
    shown.add_row("  too old: counted before, or older than 120 days", f"{outcome.too_old:,}")
    shown.add_row("refused", f"{refused.total():,}")
    for reason, number in refused.most_common():
        shown.add_row(f"  {reason}", f"{number:,}")
