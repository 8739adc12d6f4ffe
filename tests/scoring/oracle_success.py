"""The oracle's reading of docs/customer-success.md: matrix, onboarding, signals."""

import hashlib
import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from tests.scoring.oracle_metrics import HORIZON, Account, Fact, Rules, day_begin, day_of, number
from tests.scoring.oracle_records import milliseconds, rfc3339
from tests.scoring.oracle_score import Evaluation, Override

EPOCH = date(1970, 1, 1)
TICKET_SIGNAL = {"window": "3d", "at_least": 5, "times": 3, "against": "56d"}


@dataclass
class Milestone:
    """How a milestone stands."""

    id: str
    status: str
    due: int
    done: int | None = None
    done_at: int = 0

    @property
    def late(self) -> bool:
        """Whether it was done after its deadline."""
        return self.done is not None and self.done > self.due

    @property
    def key(self) -> Any:
        """What must change to be published."""
        return self.id, self.status, self.late


@dataclass
class Onboarding:
    """How an onboarding stands."""

    status: str
    start: int
    milestones: list[Milestone]


@dataclass
class Successful(Account):
    """An account with what customer success keeps of it."""

    said: dict[tuple[str, str], Fact] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    reached_since: int | None = None
    burst: int | None = None
    waiting: list[dict[str, Any]] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    statuses: dict[str, str] | None = field(default_factory=dict)
    """Of the last publication; None if that was under another configuration."""


class SuccessRules(Rules):
    """A configuration with its customer-success parts."""

    def onboarding_status(self, account: Account, r: int) -> str | None:
        """How the onboarding stands."""
        onboarding = onboarding_of(self, account, r)
        return onboarding.status if onboarding else None

    def onboarding_score(self, account: Account, r: int) -> float | None:
        """How well it goes."""
        return score_of(self, onboarding_of(self, account, r))

    def evaluate(self, account: Account, r: int, override: Override | None = None) -> Evaluation:
        """The account's health while day r runs."""
        evaluation = super().evaluate(account, r, override)
        add_success(self, account, r, evaluation)
        return evaluation


def learn_success(account: Successful, event: dict[str, Any], counters: Counter[str]) -> bool:
    """The newest word on a milestone or a problem wins; whether this is it."""
    words = {
        "onboarding.milestone": ("milestone", ("done", "succeeded", "failed", "open")),
        "problem.updated": ("problem", ("open", "in_progress", "solved")),
    }
    if event["type"] not in words:
        return False
    name, statuses = words[event["type"]]
    which, status = event["properties"].get(name), event["properties"].get("status")
    if not isinstance(which, str) or not which or not isinstance(status, str):
        return False
    if status not in statuses:
        return False
    known = [one for kind, one in account.said if kind == name]
    if len(known) >= 200 and which not in known:
        counters["fields_left_out"] += 1
        return False
    new = Fact(milliseconds(event["time"]), event["id"].encode(), status)
    old = account.said.get((name, which))
    if old is not None and (new.time, new.id) <= (old.time, old.id):
        return False
    account.said[name, which] = new
    return True


def zone_of(rules: Rules) -> str:
    """The product's time zone."""
    zone: str = rules.document["product"].get("time_zone", "UTC")
    return zone


def start_of(account: Account) -> int | None:
    """The day on which the onboarding starts, if the profile says one that exists."""
    text = account.profile().get("onboarding_started_on")
    if not isinstance(text, str) or not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        day = (date.fromisoformat(text) - EPOCH).days
    except ValueError:
        return None
    return day if 1970 <= date.fromisoformat(text).year <= 2199 else None


def last_day(rules: Rules, start: int) -> int:
    """The last day of an onboarding that starts on a day."""
    onboarding = rules.document["onboarding"]
    due = max(_days(each["due"]) for each in onboarding["milestones"])
    return start + due + _days(onboarding.get("grace", "30d"))


def latch(rules: Rules, account: Successful, d: int) -> None:
    """Remember which milestones' metrics have their value at the close of day d."""
    start = start_of(account)
    if "onboarding" not in rules.document or start is None:
        return
    if not start <= d <= last_day(rules, start):
        return
    if account.reached_since != start:
        account.reached, account.reached_since = {}, start
    found = []
    for each in rules.document["onboarding"]["milestones"]:
        if "reached" in each and each["id"] not in account.reached:
            name = rules.name_of(each["reached"]["metric"], f"onboarding.{each['id']}")
            value = rules.value(account, name, d + 1)
            if value is not None and value >= each["reached"]["at_least"]:
                found.append(each["id"])
    account.reached |= dict.fromkeys(found, d)


def onboarding_of(rules: Rules, account: Account, r: int) -> Onboarding | None:
    """How the onboarding stands while day r runs."""
    assert isinstance(account, Successful)
    start = start_of(account)
    if "onboarding" not in rules.document or start is None or start > r:
        return None
    milestones = [
        milestone(rules, account, each, start, r)
        for each in rules.document["onboarding"]["milestones"]
    ]
    statuses = {each.status for each in milestones}
    if statuses == {"done"}:
        return Onboarding("done", start, milestones)
    if r > last_day(rules, start) or statuses <= {"done", "failed"}:
        return Onboarding("failed", start, milestones)
    return Onboarding("running", start, milestones)


def milestone(
    rules: Rules, account: Successful, each: dict[str, Any], start: int, r: int
) -> Milestone:
    """How one milestone stands while day r runs."""
    due = start + _days(each["due"])
    said = account.said.get(("milestone", each["id"]))
    ways = []
    if said is not None and said.value in ("done", "succeeded"):
        ways.append((day_of(zone_of(rules), said.time), said.time))
    if account.reached_since == start and each["id"] in account.reached:
        day = account.reached[each["id"]]
        ways.append((day, day_begin(zone_of(rules), day + 1)))
    if said is not None and said.value == "failed":
        return Milestone(each["id"], "failed", due)
    if ways:
        day = min(day for day, _ in ways)
        instant = next(at for on, at in ways if on == day)
        return Milestone(each["id"], "done", due, day, instant)
    return Milestone(each["id"], "overdue" if r > due else "open", due)


def points_of(rules: Rules, each: Milestone) -> float | None:
    """A milestone's sub-score."""
    if each.status == "open":
        return None
    if each.status != "done":
        return 0.0
    return float(rules.document["onboarding"].get("late", 50)) if each.late else 100.0


def score_of(rules: Rules, onboarding: Onboarding | None) -> float | None:
    """The mean of the sub-scores that count, in tenths."""
    if onboarding is None:
        return None
    points = [points_of(rules, each) for each in onboarding.milestones]
    counted = [each for each in points if each is not None]
    total = 0.0
    for each in counted:
        total += each
    return math.floor(total / len(counted) * 10 + 0.5) / 10 if counted else None


def shown(rules: Rules, onboarding: Onboarding | None) -> dict[str, Any] | None:
    """An onboarding as a record shows it."""
    if onboarding is None:
        return None
    return {
        "status": onboarding.status,
        "started_on": _date(onboarding.start),
        "score": score_of(rules, onboarding),
        "milestones": [
            {
                "id": each.id,
                "status": each.status,
                "score": points_of(rules, each),
                "due_on": _date(each.due),
                "done_on": None if each.done is None else _date(each.done),
            }
            for each in onboarding.milestones
        ],
    }


def add_success(rules: Rules, account: Account, r: int, evaluation: Evaluation) -> None:
    """Where the account stands in the matrix, and how its onboarding goes."""
    evaluation.onboarding = onboarding_of(rules, account, r)
    matrix = rules.document.get("matrix")
    if matrix is None:
        return
    levels = []
    for axis in ("x", "y"):
        value = rules.value(account, rules.name_of(matrix[axis]["metric"], f"matrix.{axis}"), r)
        known = None if value is None else sum(value >= limit for limit in matrix[axis]["levels"])
        levels.append(known)
    x, y = levels
    evaluation.matrix = {"x": x, "y": y, "stage": None, "action": None}
    if x is None or y is None:
        return
    cell = matrix["cells"][y][x]
    action = cell.get("action")
    if action is not None and matrix["actions"][action].get("upsell", False):
        best = max(rules.document["scorecards"]["bands"].items(), key=lambda band: float(band[1]))[
            0
        ]
        if evaluation.band != best or _is_dissatisfied(rules, account, r):
            action = matrix["actions"][action].get("otherwise")
    evaluation.matrix |= {"stage": cell["stage"], "action": action}


def _is_dissatisfied(rules: Rules, account: Account, r: int) -> bool:
    satisfaction = rules.document["matrix"].get("satisfaction")
    if satisfaction is None:
        return False
    name = rules.name_of(satisfaction["metric"], "matrix.satisfaction")
    value = rules.value(account, name, r)
    return value is not None and value < satisfaction["at_least"]


def signals_of_event(rules: Rules, account: Successful, event: dict[str, Any], r: int) -> None:
    """What one event says by itself."""
    properties, user = event["properties"], event.get("user_id")
    time = milliseconds(event["time"])
    settings = rules.document["product"].get("signals", {})
    if event["type"] == "survey.answered":
        detractor = settings.get("detractor", {})
        survey, score = properties.get("survey"), number(properties.get("score"))
        asked = isinstance(survey, str) and survey in detractor.get("surveys", ["nps"])
        if asked and score is not None and score <= detractor.get("at_most", 6):
            arise(rules, account, r, ("detractor", user, survey, time), {"score": score})
    if event["type"] == "user.joined" and user is not None:
        known = properties.get("known_at")
        if isinstance(known, list) and known and all(isinstance(each, str) for each in known):
            what = ("known_user_elsewhere", user, known[0], time)
            arise(rules, account, r, what, {"accounts": known})


def arise(
    rules: Rules,
    account: Successful,
    r: int,
    what: tuple[str, str | None, str | None, int],
    data: dict[str, Any],
) -> None:
    """Let the next record tell a signal, once, if its day is inside the horizon."""
    kind, user, subject, instant = what
    if day_of(zone_of(rules), instant) < r - HORIZON:
        return
    named = [account.id, kind, user, subject, rfc3339(instant)]
    text = json.dumps(named, ensure_ascii=False, separators=(",", ":"))
    key = hashlib.sha256(text.encode()).hexdigest()[:32]
    if key in account.told:
        return
    account.told.add(key)
    signal = {"id": key, "kind": kind, "user_id": user, "subject": subject}
    account.waiting.append(signal | {"time": rfc3339(instant), "data": data})


def signals_of_numbers(rules: Rules, account: Successful, new: Evaluation, r: int) -> None:
    """What comes of the account's numbers: a burst of tickets, milestones overdue and done."""
    find_burst(rules, account, r)
    onboarding = new.onboarding
    before = account.statuses
    if before is None:
        return
    for each in onboarding.milestones if onboarding else []:
        old = before.get(each.id, "open")
        if each.status == "overdue" and old != "overdue":
            midnight = day_begin(zone_of(rules), each.due + 1)
            data = {"due_on": _date(each.due)}
            arise(rules, account, r, ("milestone_overdue", None, each.id, midnight), data)
        if each.status == "done" and old != "done":
            assert each.done is not None
            told = {"done_on": _date(each.done), "late": each.late}
            arise(rules, account, r, ("milestone_done", None, each.id, each.done_at), told)


def find_burst(rules: Rules, account: Successful, r: int) -> None:
    """Many more tickets than usual, not told of in this window yet."""
    given = rules.document["product"].get("signals", {}).get("ticket_burst", {})
    settings = TICKET_SIGNAL | given
    window, against = _days(settings["window"]), _days(settings["against"])
    opened = rules.over_days(account, TICKETS, r - window, r)
    before = rules.over_days(account, TICKETS, r - window - against, r - window - 1)
    if opened is None or opened < settings["at_least"]:
        return
    if before is None or opened < settings["times"] * window / against * before:
        return
    if account.burst is not None and r <= account.burst + window:
        return
    account.burst = r
    what = ("ticket_burst", None, None, day_begin(zone_of(rules), r))
    arise(rules, account, r, what, {"tickets": opened, "before": before})


TICKETS = {"count": "support.ticket_opened", "window": "1d"}


def quiet_after(rules: Rules) -> int:
    """The days without an event after which a key user is quiet."""
    settings = rules.document["product"].get("signals", {}).get("key_user", {})
    return _days(settings.get("quiet_after", "14d"))


def find_key_users(rules: Rules, account: Successful, r: int) -> None:
    """Which key users the close before day r finds quiet, or back."""
    n, closed = quiet_after(rules), r - 1
    for user in account.users.values():
        last = user.last_seen
        if last < r - HORIZON:
            user.key = user.quiet_since = None
            continue
        is_quiet = closed - last >= n
        if user.quiet_since is not None:
            if is_quiet or last < user.quiet_since:
                continue
            data = {"quiet_since": _date(user.quiet_since), "last_active_on": _date(last)}
            _tell(rules, account, r, ("key_user_back", user.name, last + 1), data)
            user.key = user.quiet_since = None
        if user.rank in ("SS", "S"):
            user.key = user.rank
        elif last == closed:
            user.key = None
        if user.key is not None and is_quiet:
            data = {"rank": user.key, "last_active_on": _date(last)}
            _tell(rules, account, r, ("key_user_quiet", user.name, last + n + 1), data)
            user.quiet_since, user.key = last + 1, None


def settle_key_users(rules: Rules, account: Successful, r: int) -> None:
    """Another number of days takes effect: who is quiet by it is so without being told."""
    for user in account.users.values():
        if user.key is not None and (r - 1) - user.last_seen >= quiet_after(rules):
            user.quiet_since, user.key = user.last_seen + 1, None


def _tell(
    rules: Rules,
    account: Successful,
    r: int,
    what: tuple[str, str | None, int],
    data: dict[str, Any],
) -> None:
    kind, user, day = what
    if user is not None:
        arise(rules, account, r, (kind, user, None, day_begin(zone_of(rules), day)), data)


def without(signals: list[dict[str, Any]], user: str) -> list[dict[str, Any]]:
    """The signals, none of them naming a user."""
    return [each | {"user_id": None} if each["user_id"] == user else each for each in signals]


def remember(account: Successful, new: Evaluation) -> None:
    """What the next publication is compared with."""
    milestones = new.onboarding.milestones if new.onboarding else []
    account.statuses = {each.id: each.status for each in milestones}


def forget(rules: Rules, account: Successful, r: int) -> None:
    """What a stale account has not told goes with its day."""
    account.waiting = [
        each
        for each in account.waiting
        if day_of(zone_of(rules), milliseconds(each["time"])) >= r - HORIZON
    ]


def take(account: Successful) -> list[dict[str, Any]]:
    """What a record tells, in the order of time."""
    in_order = sorted(account.waiting, key=lambda signal: (signal["time"], signal["id"]))
    account.waiting = in_order[50:]
    return in_order[:50]


def _days(duration: str) -> int:
    return int(duration.removesuffix("d"))


def _date(day: int) -> str:
    return (EPOCH + timedelta(days=day)).isoformat()
