"""The oracle's users: docs/engagement.md, read slowly."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.scoring.oracle_metrics import (
    HORIZON,
    RANKS,
    Account,
    Rules,
    Signal,
    User,
    earning_signal,
)

Person = tuple[str, int]
"""A user id, and how many of its erasures were before."""


def see(account: Account, person: Person | None, erasures: int, day: int) -> None:
    """Note that a user, whose id was erased so many times, had an event on a day."""
    if person is not None and person[0]:
        name = person[0] if person[1] == erasures else None
        user = account.users.setdefault(person, User(name, day))
        user.last_seen = max(user.last_seen, day)


def unname(account: Account, user_id: str) -> Iterator[dict[str, Any]]:
    """Let nobody have the name; the records of it."""
    for user in account.users.values():
        if user.name == user_id:
            user.name = None
            if user.rank is not None:
                yield {
                    "account_id": account.id,
                    "user_id": user_id,
                    "rank": None,
                    "previous": user.rank,
                    "score": 0.0,
                }


def has_ranks(rules: Rules) -> bool:
    """Whether the configuration ranks users."""
    return "ranks" in rules.document.get("engagement", {})


def close_ranks(rules: Rules, account: Account, r: int) -> Iterator[dict[str, Any]]:
    """What the close before day r changes of the ranks of an account: the records of it."""
    for person in sorted(account.users, key=lambda person: person[0].encode()):
        user = account.users[person]
        usage_rate, points = earned(rules, account, person, r)
        score = int(min(100.0, sum_in_order(points)) * 10 + 0.5) / 10
        before, user.rank = user.rank, closed_rank(user, found(rules, score, usage_rate, points), r)
        if user.rank != before and user.name is not None:
            yield {
                "account_id": account.id,
                "user_id": user.name,
                "rank": user.rank,
                "previous": before,
                "score": score,
            }


def closed_rank(user: User, now: str, r: int) -> str | None:
    """The rank after a close that found `now`."""
    confirmed, user.found_before = now == user.found_before, now
    silent = user.last_seen < r - HORIZON
    if silent and (user.rank is None or user.rank == now == "D"):
        user.found_before = None
        return None
    return now if user.rank is None or confirmed else user.rank


def found(rules: Rules, score: float, usage_rate: float, points: dict[str, float]) -> str:
    """The first rank whose needs are met."""
    needs = rules.document["engagement"]["ranks"]
    for name in RANKS[:-1]:
        need = needs[name]
        gates = all(points[each] >= least for each, least in need.get("points", {}).items())
        if score >= need["score"] and usage_rate >= need.get("usage_rate", 0) and gates:
            return name
    return "D"


def earned(
    rules: Rules, account: Account, person: Person, r: int
) -> tuple[float, dict[str, float]]:
    """The usage rate, and the points by name, `usage` first."""
    engagement = rules.document["engagement"]
    usage = engagement["usage"]
    rate = min(1.0, days_with(rules, account, person, usage, r) / usage["full_days"])
    points = {"usage": rate * usage["points"]}
    for name, signal in engagement.get("signals", {}).items():
        count = days_with(rules, account, person, signal, r)
        points[name] = min(float(signal["cap"]), count * float(signal["points"]))
    return rate, points


def days_with(
    rules: Rules, account: Account, person: Person, earning: dict[str, Any], r: int
) -> int:
    """On how many closed days of its window the user had such an event."""
    n = int(earning["window"].removesuffix("d"))
    credits = account.credits[earning_signal(earning, rules.document["product"])]
    days = {each.day for each in credits if each.user == person}
    return sum(1 for day in days if r - n <= day <= r - 1)


def sum_in_order(points: dict[str, float]) -> float:
    """The sum, one after the other."""
    total = 0.0
    for each in points.values():
        total += each
    return total


def earning_signals(document: dict[str, Any]) -> list[Signal]:
    """The signals of all that earns points."""
    engagement = document.get("engagement", {})
    if "ranks" not in engagement:
        return []
    earning = [engagement["usage"], *engagement.get("signals", {}).values()]
    return [earning_signal(each, document["product"]) for each in earning]


def usage_is_known(rules: Rules, r: int) -> bool:
    """Whether the usage rate's signal was collected all through its window."""
    usage = rules.document["engagement"]["usage"]
    signal = earning_signal(usage, rules.document["product"])
    return r - int(usage["window"].removesuffix("d")) >= rules.collected_since[signal]


def take_ranks(account: Account) -> None:
    """Nobody has a rank any more."""
    account.ranks_known = False
    for user in account.users.values():
        user.rank = user.found_before = None
        user.key = user.quiet_since = None


def at_each_rank(rules: Rules, account: Account) -> dict[str, int]:
    """How many users have each rank."""
    if not has_ranks(rules):
        return {}
    counts = Counter(user.rank for user in account.users.values())
    return {name: counts[name] for name in RANKS}
