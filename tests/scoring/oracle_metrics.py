"""The oracle's days, numbers, signals and metrics: docs/scoring.md, read slowly."""

import functools
import json
import math
import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tests.scoring.oracle_records import EPOCH
from tests.scoring.oracle_score import Evaluation, Override, has, json_value, score

HORIZON = 120
DAY_SUM_LIMIT = 7 * 10**16  # millionths
RANKS = ("SS", "S", "A", "B", "C", "D")

FIRST_DAY = 0
LAST_DAY = (date(2199, 12, 31) - date(1970, 1, 1)).days
RESERVED = frozenset(
    {
        "account.updated",
        "account.closed",
        "account.overridden",
        "user.updated",
        "user.joined",
        "user.left",
        "user.erased",
        "onboarding.milestone",
        "survey.answered",
        "support.ticket_opened",
        "support.ticket_solved",
        "feedback.requested",
        "feedback.answered",
        "goal.set",
        "goal.attained",
        "problem.updated",
        "contact.made",
    }
)


def local_day(zone: str, second: int) -> int:
    """The number of the calendar day that a wall clock in the zone shows."""
    local = (EPOCH + timedelta(seconds=second)).astimezone(ZoneInfo(zone))
    return (local.date() - date(1970, 1, 1)).days


@functools.cache
def day_begin(zone: str, day: int) -> int:
    """The first instant (ms) at which a wall clock in the zone shows this day, or a later one."""
    second = day * 86400 - 16 * 3600
    while local_day(zone, second) < day:
        second += 900
    while local_day(zone, second - 1) >= day:
        second -= 1
    return second * 1000


@functools.cache
def same_midnights(zone: str, other: str) -> bool:
    """Whether the wall clocks of both zones show midnight at the same instants."""
    days = (EPOCH.replace(tzinfo=None) + timedelta(days=day) for day in range(LAST_DAY + 1))
    zones = ZoneInfo(zone), ZoneInfo(other)
    return zone == other or all(
        len({day.replace(tzinfo=each).timestamp() for each in zones}) == 1 for day in days
    )


def day_of(zone: str, instant: int) -> int:
    """The last day that has begun at an instant (ms); the nearest one that exists."""
    about = instant // 86_400_000
    begun = [day for day in range(about - 2, about + 3) if _has_begun(zone, day, instant)]
    if begun:
        return max(begun)
    return FIRST_DAY if about < 1000 else LAST_DAY


def _has_begun(zone: str, day: int, instant: int) -> bool:
    """Whether the day exists, and has begun at the instant."""
    return FIRST_DAY <= day <= LAST_DAY and day_begin(zone, day) <= instant


def number(value: Any) -> float | None:
    """A JSON number, or a string that is a decimal number, of at most 10⁹."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= 10**9 else None


class Signal(NamedTuple):
    """What is collected from events; two metrics with the same definition share one."""

    kind: str
    property: str | None
    types: frozenset[str]
    where: Any
    properties_wanted: tuple[str, ...]
    closing: frozenset[str]

    def matches(self, event: dict[str, Any]) -> bool:
        """Whether the event is one of the selector, and its properties equal those given."""
        if not _selects(self.types, event):
            return self.closes(event)
        properties = event["properties"]
        if any(name not in properties for name in self.properties_wanted):
            return False
        return self.closes(event) or bool(
            self.where == json_value({name: properties[name] for name in self.properties_wanted})
        )

    def closes(self, event: dict[str, Any]) -> bool:
        """Whether the event closes what others opened."""
        return _selects(self.closing, event)


def _selects(types: frozenset[str], event: dict[str, Any]) -> bool:
    kind = event["type"]
    reserved = kind in RESERVED or kind.startswith(("subscription.", "myaku."))
    return kind in types or ("*" in types and not reserved)


def signal_of(metric: dict[str, Any], product: dict[str, Any]) -> Signal | None:
    """The signal of a metric; None for those that are made of others."""
    for kind in ("days", "since_last", "silence_risk"):
        if kind in metric:
            return _signal("days", None, metric[kind], metric, product)
    for kind in ("count", "users"):
        if kind in metric:
            return _signal(kind, None, metric[kind], metric, product)
    for kind in ("sum", "distinct", "latest", "open"):
        if kind in metric:
            return _signal(kind, metric[kind], metric["of"], metric, product)
    return None


def earning_signal(earning: dict[str, Any], product: dict[str, Any]) -> Signal:
    """The signal of what earns users points."""
    return _signal("users", None, earning["of"], earning, product)


def _signal(
    kind: str, of: str | None, selector: str, metric: dict[str, Any], product: dict[str, Any]
) -> Signal:
    groups = product.get("events", {})
    types = groups.get(selector, [selector])
    closed_by = metric.get("closed_by")
    closing = groups.get(closed_by, [closed_by]) if closed_by else []
    where = metric.get("where", {})
    wanted = json_value(where), tuple(sorted(where))
    return Signal(kind, of, frozenset(types), *wanted, frozenset(closing))


class Credit(NamedTuple):
    """An event that a signal has counted."""

    day: int
    user: tuple[str, int] | None
    value: Any
    stamp: tuple[int, bytes]  # time and id: the order of what happened
    closes: bool


class Fact(NamedTuple):
    """A value under a name; the newest (time, id) wins."""

    time: int
    id: bytes
    value: Any


@dataclass
class User:
    """Somebody who was seen in an account; nameless where they were erased."""

    name: str | None
    last_seen: int
    rank: str | None = None
    found_before: str | None = None
    key: str | None = None
    """The rank S or SS of a key user."""
    quiet_since: int | None = None


@dataclass
class Account:
    """All that is known of an account."""

    id: str
    facts: dict[str | Signal, Fact] = field(default_factory=dict)
    credits: dict[Signal, list[Credit]] = field(default_factory=dict)
    users: dict[tuple[str, int], User] = field(default_factory=dict)
    ranks_known: bool = False

    def learn(self, name: str | Signal, new: Fact) -> bool:
        """Keep the newer fact; whether it is the new one."""
        old = self.facts.get(name)
        if old is not None and (new.time, new.id) <= (old.time, old.id):
            return False
        self.facts[name] = new
        return True

    def profile(self) -> dict[str, Any]:
        """The fields that are not null."""
        facts = {name: fact for name, fact in self.facts.items() if isinstance(name, str)}
        return {name: fact.value for name, fact in facts.items() if fact.value is not None}


@dataclass
class Rules:
    """One configuration's way to a score, and since when each signal is collected."""

    document: dict[str, Any]
    revision: str
    collected_since: dict[Signal, float]

    @property
    def metrics(self) -> dict[str, Any]:
        """Metrics by name."""
        return metrics_of(self.document)

    def name_of(self, metric: Any, name: str) -> str:
        """The name of a metric that another part names, or writes out."""
        return metric if isinstance(metric, str) else name

    def onboarding_status(self, account: Account, r: int) -> str | None:
        """How the onboarding stands; there is none here."""
        return None

    def onboarding_score(self, account: Account, r: int) -> float | None:
        """How well it goes."""
        return None

    @property
    def declared(self) -> dict[str, Any]:
        """Sources with a rhythm."""
        declared: dict[str, Any] = self.document["product"].get("sources", {})
        return declared

    def signal(self, metric: dict[str, Any]) -> Signal:
        """The signal of a simple metric."""
        signal = signal_of(metric, self.document["product"])
        assert signal is not None
        return signal

    def value(self, account: Account, name: str, r: int) -> float | None:
        """A metric, or `profile.field`, while day r runs; None is unknown."""
        if name.startswith("profile."):
            return number(account.profile().get(name.removeprefix("profile.")))
        metric = self.metrics[name]
        if "ratio" in metric:
            a, b = (self.value(account, part, r) for part in metric["ratio"])
            return None if a is None or b is None or b == 0 else a / b
        if "change" in metric:
            return self.change(account, self.metrics[metric["change"]], _days(metric["against"]), r)
        if "onboarding" in metric:
            return self.onboarding_score(account, r)
        return self.simple(account, metric, r)

    def simple(self, account: Account, metric: dict[str, Any], r: int) -> float | None:
        """A metric that is made of no other, or of one and its own past."""
        if "rate" in metric:
            return self.rate(account, self.metrics[metric["rate"]], _days(metric["against"]), r)
        if "latest" in metric:
            return self.latest(account, metric, r)
        if "ranked_users" in metric:
            good = RANKS[: RANKS.index(metric["ranked_users"]) + 1]
            count = sum(1 for user in account.users.values() if user.rank in good)
            return float(count) if account.ranks_known else None
        if "open" in metric:
            return float(open_keys(account.credits[self.signal(metric)], r))
        if "window" in metric:
            return self.over_days(account, metric, r - _days(metric["window"]), r)
        active = {credit.day for credit in account.credits[self.signal(metric)]}
        if not active:
            return None
        if "silence_risk" in metric:
            return silence_risk(active, r, _days(metric.get("horizon", "90d")))
        return float(max(0, (r - 1) - max(active)))

    def latest(self, account: Account, metric: dict[str, Any], r: int) -> float | None:
        """The fact's number, until it expires."""
        fact = account.facts.get(self.signal(metric))
        if fact is None:
            return None
        expires = metric.get("expires")
        day = day_of(self.document["product"].get("time_zone", "UTC"), fact.time)
        expired = expires is not None and day < r - _days(expires)
        return None if expired else float(fact.value)

    def change(
        self, account: Account, metric: dict[str, Any], against: int, r: int
    ) -> float | None:
        """Now ÷ then − 1."""
        n = _days(metric["window"])
        now = self.over_days(account, metric, r - n, r)
        then = self.over_days(account, metric, r - n - against, r - 1 - against)
        return None if now is None or not then else now / then - 1

    def rate(self, account: Account, metric: dict[str, Any], before: int, r: int) -> float | None:
        """A day of now ÷ a day of the days before."""
        n = _days(metric["window"])
        whole = {name: value for name, value in metric.items() if name != "per"}
        now = self.over_days(account, whole, r - n, r)
        then = self.over_days(account, whole, r - n - before, r - n - 1)
        return None if now is None or not then else (now / n) / (then / before)

    def over_days(
        self, account: Account, metric: dict[str, Any], first: int, last: int
    ) -> float | None:
        """A count, sum, users, distinct or days over the days `first … last`."""
        signal = self.signal(metric)
        if first < self.collected_since[signal]:
            return None
        credits = [each for each in account.credits[signal] if first <= each.day <= last]
        scale = _days(metric["per"]) / _days(metric["window"]) if "per" in metric else 1.0
        if signal.kind == "days":
            return float(len({each.day for each in credits}))
        if signal.kind == "count":
            return len(credits) * scale
        if signal.kind == "users":
            return float(len({each.user for each in credits}))
        if signal.kind == "distinct":
            return float(len({json_value(each.value) for each in credits}))
        by_day: dict[int, int] = {}
        for each in credits:
            added = by_day.get(each.day, 0) + round(each.value * 1e6)
            by_day[each.day] = min(max(added, -DAY_SUM_LIMIT), DAY_SUM_LIMIT)
        return float(sum(by_day.values())) / 1e6 * scale

    def evaluate(self, account: Account, r: int, override: Override | None = None) -> Evaluation:
        """The account's health while day r runs."""
        profile = account.profile()
        scorecards = self.document["scorecards"]
        status = self.onboarding_status(account, r)
        card = next(card for card in scorecards["scorecards"] if _fits(card, profile, status))
        names = [name for each in card["dimensions"].values() for name in each["measures"]]
        names += [card["gate"]["measure"]] if "gate" in card else []
        names += [name for rule in card.get("rules", []) for name in rule["when"]]
        names = [name for name in names if not name.startswith("profile.")]
        values = {name: self.value(account, name, r) for name in names}
        evaluation = score(card, self.document, values, profile, override)
        evaluation.revision = self.revision
        silences = [name for name, metric in self.metrics.items() if "silence_risk" in metric]
        risk = self.value(account, silences[0], r) if silences else None
        if risk is not None:
            evaluation.silence_risk = math.floor(risk * 10**4 + 0.5) / 10**4
        return evaluation


def metrics_of(document: dict[str, Any]) -> dict[str, Any]:
    """The metrics of the scorecards, and those that other parts write out."""
    metrics: dict[str, Any] = dict(document["scorecards"]["metrics"])
    matrix = document.get("matrix", {})
    for name in ("x", "y", "satisfaction"):
        if name in matrix and isinstance(matrix[name]["metric"], dict):
            metrics[f"matrix.{name}"] = matrix[name]["metric"]
    for milestone in document.get("onboarding", {}).get("milestones", []):
        reached = milestone.get("reached", {}).get("metric")
        if isinstance(reached, dict):
            metrics[f"onboarding.{milestone['id']}"] = reached
    return metrics


def open_keys(credits: list[Credit], r: int) -> int:
    """The keys whose newest event opened them."""
    newest: dict[Any, Credit] = {}
    for credit in credits:
        key = json_value(credit.value)
        if key not in newest or credit.stamp > newest[key].stamp:
            newest[key] = credit
    return sum(not credit.closes for credit in newest.values())


def silence_risk(active: set[int], r: int, horizon: int) -> float | None:
    """docs/scoring.md, "Silence risk", term by term."""
    if r - min(active) < 14:
        return None
    newest = max(active)
    e = math.fsum(0.5 ** ((newest - day) / 120) for day in active)
    silent = max(1, r - newest)
    a = 120 / math.log(2) + horizon
    prior = horizon / 365
    k = min(e, 30.0)
    log_odds = (prior + k) * math.log((a + silent) / a) - math.log(1 + 2 * k)
    alive = 1 / (1 + math.exp(log_odds))
    quiet = ((a + silent) / (a + silent + horizon)) ** (prior + e)
    return float(1 - alive * (1 - quiet))


def _days(duration: str) -> int:
    return int(duration.removesuffix("d"))


def _fits(card: dict[str, Any], profile: dict[str, Any], onboarding: str | None) -> bool:
    when = dict(card.get("when", {}))
    wanted = when.pop("onboarding", [onboarding])
    is_wanted = onboarding in (wanted if isinstance(wanted, list) else [wanted])
    return is_wanted and all(has(profile, name, values) for name, values in when.items())


def canonical(document: Any) -> bytes:
    """Canonical JSON."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()
