"""Random configurations: any metric, any weights and curves, scorecards by size."""

from typing import Any

from hypothesis import strategies as st

from tests.scoring.success_documents import signals, success_parts

METRICS: dict[str, dict[str, Any]] = {
    "events_28d": {"count": "active", "window": "28d"},
    "events_1d": {"count": "*", "window": "1d"},
    "exports_120d": {"count": "*", "where": {"feature": "export"}, "window": "120d"},
    "ones_30d": {"count": "active", "where": {"feature": 1}, "window": "30d"},
    "volume_7d": {"sum": "amount", "of": "active", "window": "7d"},
    "users_28d": {"users": "active", "window": "28d"},
    "users_60d": {"users": "report.run", "window": "60d"},
    "features_10d": {"distinct": "feature", "of": "active", "window": "10d"},
    "features_120d": {"distinct": "feature", "of": "active", "window": "120d"},
    "days_28d": {"days": "active", "window": "28d"},
    "export_days_90d": {"days": "*", "where": {"feature": "export"}, "window": "90d"},
    "silent": {"since_last": "active"},
    "silence": {"silence_risk": "active"},
    "silence_30d": {"silence_risk": "report.run", "horizon": "30d"},
    "open_tickets": {
        "open": "ticket_id",
        "of": "support.ticket_opened",
        "closed_by": "support.ticket_solved",
    },
    "open_urgent": {
        "open": "ticket_id",
        "of": "support.ticket_opened",
        "closed_by": "support.ticket_solved",
        "where": {"priority": "urgent"},
    },
    "events_per_week": {"count": "active", "window": "28d", "per": "7d"},
    "volume_per_30d": {"sum": "amount", "of": "active", "window": "7d", "per": "30d"},
    "silent_export": {"since_last": "*", "where": {"feature": "export"}},
    "nps": {
        "latest": "score",
        "of": "survey.answered",
        "where": {"survey": "nps"},
        "expires": "30d",
    },
    "newest_amount": {"latest": "amount", "of": "report.run"},
    "tickets_3d": {"count": "support.ticket_opened", "window": "3d"},
    "seat_rate": {"ratio": ["users_28d", "profile.seats"]},
    "price": {"ratio": ["profile.mrr", "profile.seats"]},
    "volume_per_user": {"ratio": ["volume_7d", "users_28d"]},
    "events_change": {"change": "events_28d", "against": "28d"},
    "users_change": {"change": "users_60d", "against": "60d"},
    "volume_change": {"change": "volume_7d", "against": "3d"},
    "onboarding_score": {"onboarding": "score"},
    "features_change": {"change": "features_10d", "against": "10d"},
    "days_change": {"change": "days_28d", "against": "28d"},
    "events_rate": {"rate": "events_28d", "against": "84d"},
    "week_rate": {"rate": "events_per_week", "against": "14d"},
    "days_rate": {"rate": "days_28d", "against": "60d"},
}
RANKED = {
    "good_users": {"ranked_users": "B"},
    "best_users": {"ranked_users": "SS"},
    "users_with_rank": {"ranked_users": "D"},
}
METRICS |= RANKED
CURVES = (
    [[0, 0], [1, 50], [5, 100]],
    [[0, 100], [2, 70], [21, 30], [45, 0]],
    [[-1, 0], [-0.5, 40], [0, 80], [0.2, 100]],
    [[3, 33.3]],
    [[0, 10], [0.3, 0], [0.7, 99.95]],
)
WEIGHTS = (1, 2, 3.5, 10, 33)
GATES = ("seat_rate", "ones_30d", "nps", "features_change")
RULES = ("capped", "fined", "a_rule")
EVENTS = (["*"], ["report.run"], ["*", "support.ticket_opened"])
ROUTING = {"fallback": "team", "destinations": {"log": {"type": "log"}}, "to": ["log"]}


NEEDS: tuple[dict[str, float], ...] = (
    {"SS": 90, "S": 70, "A": 50, "B": 30, "C": 10},
    {"SS": 66.7, "S": 33.4, "A": 20, "B": 20, "C": 0.1},
    {"SS": 40, "S": 40, "A": 40, "B": 40, "C": 40},
)
usages = st.fixed_dictionaries(
    {
        "of": st.sampled_from(("active", "report.run", "user.joined")),
        "full_days": st.sampled_from((1, 2)),
        "points": st.sampled_from((60, 33.3)),
        "window": st.sampled_from(("2d", "4d", "30d", "120d")),
    },
    optional={"where": st.just({"feature": "export"})},
)
earning: Any = st.fixed_dictionaries(
    {
        "of": st.sampled_from(("*", "active", "export.made", "survey.answered")),
        "points": st.sampled_from((7, 12.5, 33.3, 90)),
        "cap": st.sampled_from((0.5, 25, 66.6, 100)),
        "window": st.sampled_from(("1d", "3d", "14d", "90d", "120d")),
    },
    optional={"where": st.just({"feature": 1})},
)


@st.composite
def engagements(draw: st.DrawFn) -> dict[str, Any]:
    """An engagement part with ranks; its gates are of all kinds."""
    signals = draw(st.dictionaries(st.sampled_from(("pages", "awards", "posts")), earning))
    ranks: dict[str, Any] = {}
    for name, score in draw(st.sampled_from(NEEDS)).items():
        ranks[name] = {"score": score, "usage_rate": draw(st.sampled_from((0, 0.5, 0.9, 1)))}
        if draw(st.booleans()) and signals:
            ranks[name]["points"] = {draw(st.sampled_from(sorted(signals))): 12.5}
    return {"usage": draw(usages), "signals": signals, "ranks": ranks}


engaged = st.fixed_dictionaries({"engagement": engagements()})


def needed(names: set[str]) -> set[str]:
    """The metrics, and those that they are made of."""
    parts = {part for name in names for part in METRICS[name].get("ratio", [])}
    parts |= {
        METRICS[name][kind]
        for name in names
        for kind in ("change", "rate")
        if kind in METRICS[name]
    }
    return names | {part for part in parts if part in METRICS}


def of_points(how: str) -> st.SearchStrategy[dict[str, Any]]:
    """A measure whose points make a curve, or steps."""
    given = {"weight": st.sampled_from(WEIGHTS), how: st.sampled_from(CURVES)}
    return st.fixed_dictionaries(given)


onboarding_statuses = st.sampled_from(("running", "failed", ["done", "running"]))
measures = st.one_of(of_points("curve"), of_points("curve"), of_points("steps"))
bounds: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    (
        {"above": 0},
        {"at_least": 1, "below": 10},
        {"at_most": 0},
        {"at_most": 3, "above": -1, "at_least": 0.5},
    )
)
profile_conditions: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    ({}, {}, {"profile.size": ["S", 1]}, {"profile.seats": 5}, {"profile.closed": True})
)
REASON = "no good use makes up for it"


@st.composite
def rules(draw: st.DrawFn) -> list[dict[str, Any]]:
    """None to three rules; two scorecards share their names."""
    found = []
    for identity in draw(st.lists(st.sampled_from(RULES), max_size=3, unique=True)):
        names = draw(st.lists(st.sampled_from(sorted(METRICS)), max_size=2, unique=True))
        when = {name: draw(bounds) for name in names} | draw(profile_conditions)
        how, points = draw(st.sampled_from((("cap", 40), ("cap", 0), ("penalty", 12.5))))
        if when:
            found.append({"id": identity, "when": when, "reason": REASON, how: points})
    return found


def read_by(card: dict[str, Any]) -> set[str]:
    """The metrics that a scorecard names."""
    names = {name for dimension in card["dimensions"].values() for name in dimension["measures"]}
    names |= {card["gate"]["measure"]} if "gate" in card else set()
    names |= {name for rule in card.get("rules", []) for name in rule["when"]}
    return {name for name in names if not name.startswith("profile.")}


rhythms = st.dictionaries(
    st.sampled_from(("app", "web", "never")),
    st.sampled_from([{"expected_every": every} for every in ("1h", "1h", "20h", "2d", "9w")]),
    max_size=2,
)


@st.composite
def cards(draw: st.DrawFn, identity: str, sizes: Any) -> dict[str, Any]:
    """A scorecard of one to three dimensions, with or without a gate, a floor and rules."""
    names = draw(st.lists(st.sampled_from(sorted(METRICS)), min_size=1, max_size=7, unique=True))
    count = draw(st.integers(1, min(3, len(names))))
    card: dict[str, Any] = {"id": identity}
    if draw(st.booleans()):
        gate = draw(st.sampled_from(GATES))
        names = [name for name in names if name != gate] or ["events_28d"]
        card["gate"] = {"measure": gate, "takes": draw(st.sampled_from((1.0, 0.37)))}
    card["dimensions"] = {
        f"dimension_{number}": {
            "weight": draw(st.sampled_from(WEIGHTS)),
            "measures": {name: draw(measures) for name in names[number::count]},
        }
        for number in range(min(count, len(names)))
    }
    if draw(st.booleans()):
        card["floor_share"] = draw(st.sampled_from((0.7, 0.25)))
    if found := draw(rules()):
        card["rules"] = found
    return card | ({"when": {"profile.size": sizes}} if sizes else {})


@st.composite
def documents(draw: st.DrawFn, zone: str) -> dict[str, Any]:
    """A whole document; two of a zone share many of their signals."""
    found = [
        draw(cards("small", draw(st.sampled_from(("S", ["S", 1], True))))),
        draw(cards("newcomers", None)) | {"when": {"onboarding": draw(onboarding_statuses)}},
        draw(cards("others", None)),
    ]
    used = {name for card in found for name in read_by(card)}
    parts: Any = engaged if used & RANKED.keys() else st.just({}) | engaged
    return {
        "product": {
            "time_zone": zone,
            "events": {"active": draw(st.sampled_from(EVENTS))},
            "sources": draw(rhythms),
            "signals": draw(signals),
        },
        "scorecards": {
            "metrics": {name: METRICS[name] for name in sorted(needed(used))},
            "scorecards": found,
            "bands": {"healthy": 70, "watch": 50.5, "at_risk": 30, "critical": 0},
        },
        "alerts": {},
        "routing": ROUTING,
        **draw(parts),
        **draw(success_parts()),
    }


def document(
    metrics: dict[str, Any], *scorecards: dict[str, Any], zone: str = "UTC"
) -> dict[str, Any]:
    """A document of these metrics; without scorecards, of one with all of them, alike."""
    curve = [[0, 0], [100, 100]]
    measures = {name: {"weight": 1, "curve": curve} for name in metrics}
    default = {"id": "all", "dimensions": {"use": {"weight": 1, "measures": measures}}}
    return {
        "product": {"time_zone": zone},
        "scorecards": {
            "metrics": metrics,
            "scorecards": list(scorecards) or [default],
            "bands": {"healthy": 70, "watch": 50.5, "at_risk": 30, "critical": 0},
        },
        "alerts": {},
        "routing": ROUTING,
    }
