"""A whole backtest as one value; how it is told at a terminal, as a page and as JSON."""

from collections.abc import Iterator
from typing import Any

import jinja2
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from services.scoring.backtest.figures import LEAST_OF_EACH, Bin
from services.scoring.backtest.summary import SUBJECTS, Comparison, Judgement, Share

TITLES = {"silence_risk": "silence risk", "score": "100 − score"}
NOTE = (
    f"Means are over the cut-offs at which at least {LEAST_OF_EACH} accounts had either outcome."
    "\nnew: too new for a score, and in no figure."
)


class Report(msgspec.Struct, frozen=True):
    """Everything that `myaku backtest` found."""

    question: str
    events: int
    duplicates: int
    refused: dict[str, int]
    """By reason."""
    first_day: str
    last_day: str
    run_in: list[str]
    """The cut-offs that are not tested."""
    judgement: Judgement
    against: Judgement | None = None
    comparison: Comparison | None = None

    @property
    def judgements(self) -> list[Judgement]:
        """One, or both that are compared."""
        return [self.judgement, self.against] if self.against else [self.judgement]


def as_json(report: Report) -> bytes:
    """The report for other programs, indented."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2)


def as_page(report: Report) -> str:
    """The report as one HTML page that needs nothing else."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("services.scoring.backtest", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "percent": _percent, "signed": _signed}
    return environment.get_template("report.html.jinja").render(
        report=report, subjects=SUBJECTS, titles=TITLES, least=LEAST_OF_EACH, curve=_curve
    )


def show(report: Report, console: Console) -> None:
    """The report for whoever sits at the terminal."""
    refused = sum(report.refused.values())
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in report.refused.items())
    console.print(
        f"{report.events:,} events from {report.first_day} to {report.last_day}"
        f" ({report.duplicates:,} duplicates; {refused:,} refused"
        f"{': ' + reasons if reasons else ''}). Asked: {report.question}?"
    )
    for judgement in report.judgements:
        console.print(
            f"\n[bold]{judgement.configuration}[/]", _cutoff_table(judgement), NOTE, sep="\n"
        )
        for subject in SUBJECTS:
            ece = judgement.calibration[subject].ece
            console.print(
                f"\nCalibration of {TITLES[subject]}, all cut-offs together: ECE {_number(ece)}"
            )
            if ece is not None:
                console.print(_calibration_table(judgement, subject))
        console.print("\nBy band of the score", _band_table(judgement), sep="\n")
    if report.comparison and report.against:
        console.print(
            f"\n[bold]{report.against.configuration} minus {report.judgement.configuration}[/]",
            "Paired per cut-off: mean difference ± its standard error.",
            _comparison_table(report.comparison),
            sep="\n",
        )


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _cutoff_table(judgement: Judgement) -> Table:
    figures = ("lift", "ECE")
    table = _table(
        *("cut-off", "accounts", "new", "happened"),
        "silence\nAUC",
        *figures,
        "score\nAUC",
        *figures,
    )
    for each in judgement.cutoffs:
        cells = [each.cutoff, f"{each.all.n:,}", str(each.unknown["score"].n), _percent(each.all)]
        for subject in SUBJECTS:
            found = each.figures[subject]
            cells += [_number(found.auc), _number(found.lift, 2), _number(found.ece)]
        table.add_row(*cells)
    table.add_section()
    table.add_row(*_mean_cells(judgement))
    return table


def _mean_cells(judgement: Judgement) -> Iterator[str]:
    n = sum(each.all.n for each in judgement.cutoffs)
    new = sum(each.unknown["score"].n for each in judgement.cutoffs)
    came = sum(each.all.happened for each in judgement.cutoffs)
    yield from ("all, mean", f"{n:,}", str(new), _percent(Share(n, came)))
    for subject in SUBJECTS:
        means = judgement.means[subject]
        yield from (_number(means.auc), _number(means.lift, 2), _number(means.ece))


def _calibration_table(judgement: Judgement, subject: str) -> Table:
    pooled = judgement.calibration[subject]
    table = _table("said", "accounts", "on average", "happened")
    for each in pooled.bins:
        table.add_row(
            f"{each.low:.1f}–{each.high:.1f}",
            f"{each.n:,}",
            _number(each.said),
            _number(each.happened),
        )
    return table


def _band_table(judgement: Judgement) -> Table:
    table = _table("band", "accounts", "happened")
    for name, share in judgement.bands.items():
        table.add_row(name, f"{share.n:,}", _percent(share))
    new = _unknown(judgement)
    table.add_row("(new)", f"{new.n:,}", _percent(new))
    return table


def _unknown(judgement: Judgement) -> Share:
    parts = [each.unknown["score"] for each in judgement.cutoffs]
    return Share(sum(each.n for each in parts), sum(each.happened for each in parts))


def _comparison_table(comparison: Comparison) -> Table:
    table = _table("", "cut-offs", "AUC", "lift", "ECE")
    for subject, means in comparison.means.items():
        cells = [
            f"{_signed(each.mean)} ± {_number(each.standard_error)}" for each in means.values()
        ]
        table.add_row(TITLES[subject], str(means["auc"].cutoffs), *cells)
    return table


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def _percent(share: Share) -> str:
    return f"{100 * share.happened / share.n:.1f} %" if share.n else "–"


def _curve(found: list[Bin]) -> list[dict[str, Any]]:
    """The bins with an account as points of a square of 100 × 100, y downward."""
    largest = max((each.n for each in found), default=1) or 1
    return [
        {
            "x": 100 * (each.said or 0),
            "y": 100 - 100 * (each.happened or 0),
            "radius": 1.2 + 3.8 * (each.n / largest) ** 0.5,
            "n": each.n,
        }
        for each in found
        if each.n
    ]
