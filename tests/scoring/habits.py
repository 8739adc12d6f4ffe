"""Random histories of people with habits: they come every few days, stop, and come again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.scoring.documents import engagements
from tests.scoring.histories import DAY, HOUR, START, Record, at, config, event, tick

METRICS: dict[str, dict[str, Any]] = {
    "good": {"ranked_users": "B"},
    "best": {"ranked_users": "S"},
    "users": {"users": "active", "window": "7d"},
    "more_users": {"change": "users", "against": "7d"},
    "long": {"users": "*", "window": "28d"},
    "longer": {"change": "long", "against": "60d"},
}
KINDS = ("report.run", "export.made", "survey.answered", "user.joined")


@dataclass(frozen=True)
class Habit:
    """A user of an account does something every few days from one day to another."""

    account: str
    user: str
    kind: str
    first: int
    days: int
    every: int
    heard_after: int  # days


habits = st.builds(
    Habit,
    account=st.sampled_from(("acme", "acme", "ñandú")),
    user=st.sampled_from(("u1", "u1", "u2", "ü3")),
    kind=st.sampled_from(KINDS),
    first=st.integers(0, 40),
    days=st.sampled_from((1, 2, 5, 14, 30)),
    every=st.sampled_from((1, 1, 2, 3, 7)),
    heard_after=st.sampled_from((0, 0, 0, 1, 9)),
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Scores made of ranks and of users; some configurations have no ranks."""
    engagement = draw(st.sampled_from((True, True, True, False)))
    names = [name for name in METRICS if engagement or "ranked_users" not in METRICS[name]]
    measures = {name: {"weight": 1, "curve": [[0, 0], [3, 100]]} for name in names}
    card = {"id": "all", "dimensions": {"use": {"weight": 1, "measures": measures}}}
    after = draw(st.sampled_from(("1d", "2d", "5d", "14d", "119d")))
    types = draw(st.sampled_from((["*"], ["report.run"], ["report.run", "user.joined"])))
    return {
        "product": {
            "time_zone": "Europe/Berlin",
            "events": {"active": types},
            "signals": {"key_user": {"quiet_after": after}},
        },
        "scorecards": {
            "metrics": {name: METRICS[name] for name in names},
            "scorecards": [card],
            "bands": {"healthy": 70, "critical": 0},
        },
        "alerts": {},
        "routing": {"fallback": "team", "destinations": {"log": {"type": "log"}}, "to": ["log"]},
        **({"engagement": draw(engagements())} if engagement else {}),
    }


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    """Habits told day by day, a tick in each night, configurations that change, a long silence."""
    people = draw(st.lists(habits, min_size=1, max_size=6))
    live = draw(st.sampled_from((999, 0, 20)))  # the day from which ticks are live
    changes = draw(st.dictionaries(st.integers(1, 60), documents(), max_size=2))
    records = [config(draw(documents())), tick(START)]
    end = draw(st.sampled_from((20, 60, 80)))
    for day in range(end):
        records += told(people, day)
        if day in changes:
            records.append(config(changes[day]))
        mode = "live" if day >= live else "history"
        records.append(tick(START + (day + 1) * DAY, mode))
    if draw(st.booleans()):
        mode = "live" if end >= live else "history"
        records.append(tick(START + (end + 125) * DAY, mode))
        records += told(people[:1], people[0].first + end + 125, shift=end + 125)
        records += [tick(START + (end + 127) * DAY, mode), tick(START + (end + 200) * DAY, mode)]
    return records


def told(people: list[Habit], day: int, shift: int = 0) -> Iterator[Record]:
    """What is heard on a day: of this day or of some days ago."""
    for number, habit in enumerate(people):
        since = day - habit.heard_after - habit.first - shift
        if 0 <= since < habit.days and since % habit.every == 0:
            instant = START + (day - habit.heard_after) * DAY + number * HOUR
            yield event(
                habit.account,
                instant,
                habit.kind,
                id=f"{number}-{day}",
                user_id=habit.user,
                properties={"feature": "export" if number % 2 else 1},
                received_at=at(START + day * DAY + number * HOUR + 1000),
            )
