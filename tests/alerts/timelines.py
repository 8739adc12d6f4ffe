"""Random timelines of `health.changes`, and of what users do in between."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from hypothesis import strategies as st

from tests.scoring.documents import document
from tests.scoring.histories import DAY, HOUR, START, at

ACCOUNTS = ("acme", "acme", "acme", "beta")
RULES = ("churn_risk", "too_good")


@dataclass(frozen=True)
class Told:
    """A record of `health.changes`."""

    key: bytes
    value: bytes


@dataclass(frozen=True)
class Act:
    """What a user does."""

    account: str
    rule: str
    what: Literal["acknowledge", "close"]
    reason: str


durations = st.fixed_dictionaries(
    {
        "for": st.sampled_from(("0s", "0s", "1h", "6h")),
        "clear_for": st.sampled_from(("0s", "1h", "6h")),
        "cooldown": st.sampled_from(("0s", "6h", "6h", "24h")),
        "reopen_within": st.sampled_from(("0s", "6h", "72h")),
        "armed_after": st.sampled_from(("0s", "0s", "0s", "1h")),
    }
)
LEVELS = {
    "churn_risk": (
        [("warning", 50, 60), ("critical", 30, 40)],
        [("info", 60, 60.1), ("warning", 50, 65), ("critical", 30, 70)],
        [("critical", 45, 46)],
    ),
    "too_good": ([("info", 80, 70), ("critical", 95, 90)], [("warning", 75, 50)]),
}
TITLES = ("{{ account.name }} fades", "{{ account.id }} ({{severity}}, {{ nobody }})", "plain")


PEOPLE: tuple[list[dict[str, Any]], ...] = (
    [],
    [
        {"id": "ana", "email": "ana@example.com", "manager": "Cy", "title": "senior",
         "out_of_office_until": "2024-02-20"},
        {"id": "bo", "email": "Bo@example.com", "active": False, "manager": "ana"},
        {"id": "cy", "email": "cy@example.com", "manager": "bo"},
    ],
)  # fmt: skip
ROUTES: tuple[list[dict[str, Any]], ...] = (
    [],
    [{"match": {"severity": ["critical"]}, "to": ["mail", "one"]},
     {"match": {"owner.title": "senior"}, "to": ["team"]}],
    [{"match": {"profile.csm": "ana", "severity": ["warning", "info"]}, "to": ["mail"]}],
    [{"match": {"profile.excluded": True}, "to": ["two"]},
     {"match": {"profile.excluded": 1}, "to": ["mail", "team"]}],
)  # fmt: skip
MAIL = {"type": "email", "from": "myaku@example.com", "smtp": "secret://smtp"}


@dataclass(frozen=True)
class Whom:
    """Where messages go."""

    to: list[str]
    routes: list[dict[str, Any]] = field(default_factory=list)
    people: list[dict[str, Any]] = field(default_factory=list)


def rulebook(rules: list[dict[str, Any]], whom: Whom, sequence: int = 0) -> Told:
    """A configuration record of these rules."""
    whole = document({"m": {"count": "a", "window": "1d"}})
    whole["alerts"] = {"rules": rules}
    whole["routing"] = {
        "fallback": "team@example.com",
        "owner_chain": ["profile.csm", "profile.backup_csm"],
        "destinations": {
            "one": {"type": "log"},
            "two": {"type": "log"},
            "mail": MAIL,
            "team": {**MAIL, "to": "all@example.com"},
        },
        "to": whom.to,
        "routes": whom.routes,
    }
    whole["people"] = {"people": whom.people}
    body = {"type": "myaku.config", "revision": "any", "document": whole, "sequence": sequence}
    return Told(b"myaku.config", json.dumps(body).encode())


@st.composite
def rules(draw: st.DrawFn, identity: str) -> dict[str, Any]:
    """A rule with any durations."""
    levels = draw(st.sampled_from(LEVELS[identity]))
    return {
        "id": identity,
        "kind": "threshold",
        "title": draw(st.sampled_from(TITLES)),
        "direction": "below" if identity == "churn_risk" else "above",
        "levels": [
            dict(zip(("severity", "trigger", "clear"), each, strict=True)) for each in levels
        ],
        "play": draw(st.sampled_from(("", "Call them."))),
        **draw(durations),
    }


@st.composite
def configs(draw: st.DrawFn) -> Told:
    """A configuration of some rules in some order, and two destinations."""
    names = draw(st.sampled_from((RULES, RULES[::-1], RULES[:1], RULES[1:], RULES[:1])))
    to = draw(st.sampled_from((["one"], ["two", "one", "two"], ["mail"])))
    whom = Whom(to, draw(st.sampled_from(ROUTES)), draw(st.sampled_from(PEOPLE)))
    sequence = draw(st.sampled_from((0, 1, 2, 3)))
    return rulebook([draw(rules(name)) for name in names], whom, sequence)


SCORES = (None, 10, 10, 29.9, 30, 39.9, 40, 45, 45, 49.9, 50, 55, 60, 65, 70, 70, 80, 90.1, 96)
SPANS = (0, 0, 1, HOUR - 1, HOUR, HOUR, HOUR, 5 * HOUR, 6 * HOUR, 6 * HOUR, DAY, 3 * DAY, -HOUR)
PROFILES: tuple[dict[str, Any], ...] = (
    {"name": "Acme", "csm": "ana"},
    {"csm": "  ", "backup_csm": " bo "},
    {"csm": "cy@example.com", "name": " A\nme "},
    {"csm": "nobody", "backup_csm": "dee@example.com"},
    {},
    {},
    {"excluded": True},
    {"closed": True},
    {"closed": "yes", "excluded": 1},
)
news = st.fixed_dictionaries(
    {
        "account": st.sampled_from(ACCOUNTS),
        "span": st.sampled_from(SPANS),
        "score": st.sampled_from(SCORES),
        "stale": st.sampled_from((False,) * 9 + (True,)),
        "profile": st.sampled_from((*PROFILES[:1] * 12, *PROFILES)),
        "parts": st.dictionaries(
            st.sampled_from(("a", "b", "c", "d", "e")),
            st.tuples(st.sampled_from((0, 10, 10.01, 20, 30.5)), st.sampled_from((0.1, 0.25, 0.5))),
            max_size=5,
        ),
        "repeated": st.sampled_from((False,) * 9 + (True,)),
        "late": st.sampled_from((False,) * 9 + (True,)),
        "revision": st.sampled_from(("r",) * 9 + ("s",)),
    }
)
ticks = st.fixed_dictionaries({"tick": st.sampled_from(SPANS)})
acts = st.builds(
    Act,
    account=st.sampled_from(ACCOUNTS),
    rule=st.sampled_from(RULES),
    what=st.sampled_from(("acknowledge", "close")),
    reason=st.sampled_from(("saved", "known: they said so")),
)


def health(step: dict[str, Any], now: int, sequence: int, mode: str) -> Told:
    """A health record, as far as alerts reads it."""
    drivers = [
        {"measure": name, "value": 1.0, "score": part * 4, "weight": weight,
         "contribution": part, "change": part - 15, "cause": "events",
         "causes": [{"cause": "late", "change": -1.0}] if step["late"] else []}
        for name, (part, weight) in step["parts"].items()
    ]  # fmt: skip
    body = {
        "account_id": step["account"], "as_of": at(now), "sequence": sequence,
        "score": step["score"], "band": "watch", "coverage": 1.0, "stale": step["stale"],
        "mode": mode, "previous": None, "change_7d": None, "change_28d": -1.5,
        "scorecard": {"id": "all", "revision": step["revision"]}, "dimensions": [],
        "drivers": drivers, "profile": step["profile"],
    }  # fmt: skip
    return Told(step["account"].encode(), json.dumps(body).encode())


def tick(now: int, mode: str) -> Told:
    """A tick."""
    body = {"type": "myaku.tick", "source_partition": 0, "source_partitions": 1}
    value = json.dumps(body | {"time": at(now), "mode": mode, "sources": {}})
    return Told(b"myaku.tick", value.encode())


@st.composite
def timelines(draw: st.DrawFn) -> list[Told | Act]:
    """A partition's records in order, history and then live, with acts of users between."""
    steps = draw(
        st.lists(st.one_of(*[news] * 8, *[ticks] * 3, acts, configs()), min_size=5, max_size=40)
    )
    goes_live = draw(st.integers(0, 40))
    now, sequences = START, dict.fromkeys(ACCOUNTS, 0)
    told: list[Told | Act] = [draw(configs())]
    for number, step in enumerate(steps):
        mode = "live" if number >= goes_live else "history"
        if isinstance(step, dict) and "tick" in step:
            now += max(0, step["tick"])
            told.append(tick(now + min(0, step["tick"]), mode))
        elif isinstance(step, dict):
            now += max(0, step["span"])
            sequences[step["account"]] += not step["repeated"]
            sequence = sequences[step["account"]]
            told.append(health(step, now + min(0, step["span"]), sequence, mode))
        else:
            told.append(step)
    return told
