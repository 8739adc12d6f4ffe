"""What the readings of a history amount to, for the terminal, the page and other programs. Pure."""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from services.scoring.backtest.figures import (
    Bin,
    BoolArray,
    Figures,
    FloatArray,
    bins,
    calibration_error,
    figures,
    mean,
    paired,
)
from services.scoring.backtest.play import Reading, Stated
from services.scoring.engine.calendar import iso_day

SUBJECTS = ("silence_risk", "score")
"""What is judged. Of a score it is 1 − score/100, so that in both more is worse."""


class Share(msgspec.Struct, frozen=True):
    """Some accounts, and to how many of them it happened."""

    n: int
    happened: int


class CutoffSummary(msgspec.Struct, frozen=True):
    """One cut-off under one configuration."""

    cutoff: str
    all: Share
    unknown: dict[str, Share]
    """By subject: the accounts of which nothing was said, as they are too new."""
    figures: dict[str, Figures]
    """By subject, of the others."""
    bands: dict[str, Share]


class Means(msgspec.Struct, frozen=True):
    """Means over the cut-offs that have an AUC, and how many they are."""

    cutoffs: int
    auc: float | None
    lift: float | None
    ece: float | None


class Pooled(msgspec.Struct, frozen=True):
    """Calibration over the accounts of all cut-offs together."""

    ece: float | None
    bins: list[Bin]


class Judgement(msgspec.Struct, frozen=True):
    """One configuration: each cut-off, their means, and all accounts together."""

    configuration: str
    cutoffs: list[CutoffSummary]
    means: dict[str, Means]
    calibration: dict[str, Pooled]
    bands: dict[str, Share]


class Difference(msgspec.Struct, frozen=True):
    """The second configuration minus the first, on the accounts of which both said something."""

    cutoff: str
    n: int
    auc: float | None
    lift: float | None
    ece: float | None


class MeanDifference(msgspec.Struct, frozen=True):
    """Over the cut-offs that have an AUC."""

    cutoffs: int
    mean: float | None
    standard_error: float | None


class Comparison(msgspec.Struct, frozen=True):
    """Two configurations, paired per cut-off; by subject."""

    differences: dict[str, list[Difference]]
    means: dict[str, dict[str, MeanDifference]]
    """By subject and figure (auc, lift, ece)."""


def judge(
    configuration: str, number: int, readings: Sequence[Reading], bands: Sequence[str]
) -> Judgement:
    """Judge the configuration of this number over the cut-offs that are tested.

    `bands` are its bands, the best first.
    """
    cutoffs = [_cutoff(reading, reading.stated[number], bands) for reading in readings]
    return Judgement(
        configuration,
        cutoffs,
        {subject: _means(cutoffs, subject) for subject in SUBJECTS},
        {subject: _pooled(readings, number, subject) for subject in SUBJECTS},
        _added(each.bands for each in cutoffs),
    )


def compare(readings: Sequence[Reading]) -> Comparison:
    """The second configuration against the first."""
    differences = {
        subject: [_difference(reading, subject) for reading in readings] for subject in SUBJECTS
    }
    return Comparison(
        differences,
        {
            subject: {name: _mean_difference(found, name) for name in ("auc", "lift", "ece")}
            for subject, found in differences.items()
        },
    )


def said(stated: Stated, subject: str) -> FloatArray:
    """What was said of each account, 0–1 and more where more is feared; NaN is nothing."""
    return stated.risks if subject == "silence_risk" else 1 - stated.scores / 100


def _cutoff(reading: Reading, stated: Stated, bands: Sequence[str]) -> CutoffSummary:
    unknown, found = {}, {}
    for subject in SUBJECTS:
        values = said(stated, subject)
        known = ~np.isnan(values)
        unknown[subject] = _share(reading.happened[~known])
        found[subject] = figures(values[known], reading.happened[known])
    shares = {}
    for band in bands:
        inside = np.array([each == band for each in stated.bands], dtype=bool)
        shares[band] = _share(reading.happened[inside])
    day = iso_day(reading.cutoff.day)
    return CutoffSummary(day, _share(reading.happened), unknown, found, shares)


def _share(happened: BoolArray) -> Share:
    return Share(len(happened), int(happened.sum()))


def _added(parts: Iterable[dict[str, Share]]) -> dict[str, Share]:
    total: dict[str, Share] = {}
    for part in parts:
        for name, share in part.items():
            before = total.get(name, Share(0, 0))
            total[name] = Share(before.n + share.n, before.happened + share.happened)
    return total


def _means(cutoffs: Sequence[CutoffSummary], subject: str) -> Means:
    found = [each.figures[subject] for each in cutoffs]
    ranked = [each for each in found if each.auc is not None]
    return Means(
        len(ranked),
        mean([each.auc for each in ranked]),
        mean([each.lift for each in ranked]),
        mean([each.ece for each in ranked]),
    )


def _pooled(readings: Sequence[Reading], number: int, subject: str) -> Pooled:
    values = np.concatenate([said(each.stated[number], subject) for each in readings])
    happened = np.concatenate([each.happened for each in readings])
    known = ~np.isnan(values)
    found = bins(values[known], happened[known])
    return Pooled(calibration_error(found), found)


def _difference(reading: Reading, subject: str) -> Difference:
    first, second = (said(stated, subject) for stated in reading.stated)
    both = ~np.isnan(first) & ~np.isnan(second)
    happened = reading.happened[both]
    before, after = figures(first[both], happened), figures(second[both], happened)
    return Difference(
        iso_day(reading.cutoff.day),
        int(both.sum()),
        _minus(after.auc, before.auc),
        _minus(after.lift, before.lift),
        _minus(after.ece, before.ece),
    )


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _mean_difference(found: Sequence[Difference], name: str) -> MeanDifference:
    values = [getattr(each, name) for each in found if each.auc is not None]
    known = [value for value in values if value is not None]
    return MeanDifference(len(known), *paired(known))
