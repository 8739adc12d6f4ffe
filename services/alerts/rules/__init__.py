"""When an account's health is an alert, and when it no longer is. No clock, no I/O."""

from services.alerts.rules.standing import (
    OPEN,
    Acknowledged,
    Closed,
    Note,
    NoteKind,
    Reading,
    Reference,
    Removed,
    Standing,
    Timers,
    Transition,
    Was,
    Way,
    WentLive,
)
from services.alerts.rules.step import step
from services.alerts.rules.threshold import Threshold, Verdict, rank

__all__ = [
    "OPEN",
    "Acknowledged",
    "Closed",
    "Note",
    "NoteKind",
    "Reading",
    "Reference",
    "Removed",
    "Standing",
    "Threshold",
    "Timers",
    "Transition",
    "Verdict",
    "Was",
    "Way",
    "WentLive",
    "rank",
    "step",
]
