"""Silence risk: how likely an account is to show no active day within the horizon. Pure.

A form of the MBG/NBD model of repeat buying (Batislam, Denizel and Filiztekin 2007) whose count of
purchases fades: an active day counts half after 120 days. Nothing is fitted; each constant is
chosen for what it means. docs/scoring.md, "Silence risk", has the whole formula.
"""

import numpy as np

from services.scoring.engine.table import FloatArray

HALF_LIFE_DAYS = 120
MEMORY_DAYS = HALF_LIFE_DAYS / np.log(2.0)
"""The mass of the fading memory: what an account that is active every day adds up to."""

DAYS_MAX = 30.0
"""So many active days count against dropping out at most: a daily user has holidays too."""

YOUNG_DAYS = 14
"""Before so many days since the first active one there is no rhythm to be silent against."""


def silence_risk(
    active_days: FloatArray, silent_days: FloatArray, horizon_days: float
) -> FloatArray:
    """The probability, 0–1, of no active day in the next `horizon_days`.

    `active_days` is the fading count as of the last active day: Σ 2^(−age/120), the last day itself
    counting 1. `silent_days` is the days since the last active one, at least 1.
    """
    mass = MEMORY_DAYS + horizon_days
    rate = horizon_days / 365.0  # an account of which nothing is known has one active day a year
    counted = np.minimum(active_days, DAYS_MAX)
    silent = np.log((mass + silent_days) / mass)
    odds = np.exp((rate + counted) * silent) / (1.0 + 2.0 * counted)
    quiet = ((mass + silent_days) / (mass + silent_days + horizon_days)) ** (rate + active_days)
    risk: FloatArray = 1.0 - (1.0 - quiet) / (1.0 + odds)
    return risk
