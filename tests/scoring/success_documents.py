"""Random customer-success parts of a document, and what events say of them."""

from typing import Any

from hypothesis import strategies as st

AXES: tuple[Any, ...] = (
    "silent",
    {"count": "active", "window": "7d"},
    {"users": "active", "window": "28d"},
    {"latest": "score", "of": "survey.answered", "expires": "30d"},
    {"ratio": ["profile.mrr", "profile.seats"]},
)
LEVELS: tuple[list[float], ...] = ([1], [1, 2], [0, 0.5, 3], [-1])
ACTIONS = {
    "wait": {"text": "Wait."},
    "sell": {"text": "Sell.", "upsell": True, "otherwise": "wait"},
    "sell_only": {"text": "Sell or nothing.", "upsell": True},
}
CELLS = (
    {"stage": "starting"},
    {"stage": "growing", "action": "wait"},
    {"stage": "expanding", "action": "sell"},
    {"stage": "established", "action": "sell_only"},
)
STARTS = ("2024-01-15", "2024-02-01", "2024-02-19", "2024-03-05", "2024-02-30", 7, None)
DONE = ("done", "done", "succeeded", "failed", "open", "soon", 1, None)
HAPPENINGS: tuple[tuple[str, dict[str, tuple[Any, ...]]], ...] = (
    ("account.updated", {"onboarding_started_on": STARTS}),
    ("onboarding.milestone", {"milestone": ("kickoff", "setup", "gone", 1), "status": DONE}),
    ("onboarding.milestone", {"milestone": ("kickoff", "setup"), "status": DONE}),
    ("account.updated", {"onboarding_started_on": STARTS[1:4]}),
    ("problem.updated", {"problem": ("no_goal", "odd"), "status": ("open", "solved", "x", None)}),
    ("survey.answered", {"survey": ("nps", "csat", 1), "score": (0, 6, 6.5, "3", 7, None)}),
    ("user.joined", {"known_at": (["beta"], ["a", "b"], [], [1], "beta")}),
    ("support.ticket_opened", {}),
)


@st.composite
def matrices(draw: st.DrawFn) -> dict[str, Any]:
    """A matrix of any two metrics."""
    x, y = draw(st.sampled_from(LEVELS)), draw(st.sampled_from(LEVELS))
    row = st.lists(st.sampled_from(CELLS), min_size=len(x) + 1, max_size=len(x) + 1)
    matrix: dict[str, Any] = {
        "x": {"title": "x", "metric": draw(st.sampled_from(AXES[1:])), "levels": x},
        "y": {"title": "y", "metric": draw(st.sampled_from(AXES[1:])), "levels": y},
        "actions": ACTIONS,
        "cells": draw(st.lists(row, min_size=len(y) + 1, max_size=len(y) + 1)),
    }
    if draw(st.booleans()):
        liked = {"latest": "score", "of": "survey.answered", "expires": "30d"}
        matrix["satisfaction"] = {"metric": liked, "at_least": 7}
    return matrix


@st.composite
def onboardings(draw: st.DrawFn) -> dict[str, Any]:
    """An onboarding of some milestones in any order."""
    milestones = [
        {"id": "kickoff", "title": "k", "due": draw(st.sampled_from(("1d", "7d", "30d")))},
        {"id": "setup", "title": "s", "due": "2d"},
        {
            "id": "habit",
            "title": "h",
            "due": "20d",
            "reached": {"metric": {"count": "active", "window": "7d"}, "at_least": 2},
        },
    ]
    chosen = draw(st.permutations(milestones))[: draw(st.integers(1, 3))]
    onboarding: dict[str, Any] = {"milestones": chosen}
    if draw(st.booleans()):
        onboarding |= {"grace": draw(st.sampled_from(("0d", "3d"))), "late": 33.3}
    return onboarding


@st.composite
def success_parts(draw: st.DrawFn) -> dict[str, Any]:
    """The customer-success parts of a document; it may have any of them."""
    parts: dict[str, Any] = {}
    if draw(st.booleans()):
        parts["matrix"] = draw(matrices())
    if draw(st.sampled_from((True, True, False))):
        parts["onboarding"] = draw(onboardings())
    if draw(st.booleans()):
        problem = {"id": "no_goal", "title": "No goal", "who": "us", "does": "Ask."}
        parts["success_map"] = {"problems": [problem]}
    return parts


bursts = st.fixed_dictionaries(
    {"window": st.sampled_from(("1d", "3d")), "at_least": st.sampled_from((1, 2))},
    optional={"times": st.sampled_from((1, 2.5)), "against": st.sampled_from(("7d", "56d"))},
)
signals = st.fixed_dictionaries(
    {},
    optional={
        "ticket_burst": bursts,
        "key_user": st.sampled_from(
            [{"quiet_after": after} for after in ("1d", "2d", "5d", "119d")]
        ),
        "detractor": st.sampled_from(({"at_most": 3}, {"surveys": ["csat", "nps"]})),
    },
)
