"""A second reading of docs/scoring.md: one event at a time, no array, nothing kept but the events.

Slow and obvious on purpose. It shares nothing with the engine, and knows nothing of it.
"""

import hashlib
from collections import Counter
from typing import Any

from tests.scoring.oracle_acts import erasures_of, in_force, learn_override, person_of
from tests.scoring.oracle_freshness import Sources
from tests.scoring.oracle_health import Scored, publish
from tests.scoring.oracle_metrics import (
    HORIZON,
    Credit,
    Fact,
    Rules,
    Signal,
    canonical,
    day_begin,
    day_of,
    metrics_of,
    number,
    same_midnights,
    signal_of,
)
from tests.scoring.oracle_records import (
    decode,
    has_room,
    is_short,
    milliseconds,
    profile_facts,
    rfc3339,
)
from tests.scoring.oracle_score import Evaluation
from tests.scoring.oracle_success import (
    TICKETS,
    SuccessRules,
    find_key_users,
    forget,
    latch,
    learn_success,
    quiet_after,
    settle_key_users,
    signals_of_event,
    without,
)
from tests.scoring.oracle_users import (
    close_ranks,
    earning_signals,
    has_ranks,
    see,
    take_ranks,
    unname,
    usage_is_known,
)

DAY_MS = 86_400_000
SCORING = ("product", "scorecards", "engagement", "matrix", "onboarding", "success_map")


class Oracle:
    """One partition of `usage.accepted`, read in order; `outbox` is what it publishes."""

    def __init__(self, partition: int = 0, partitions: int = 1) -> None:
        self.partition, self.partitions = partition, partitions
        self.outbox: list[tuple[str, dict[str, Any]]] = []
        self.ranks: list[dict[str, Any]] = []
        self.ranked = False
        self.accounts: dict[str, Scored] = {}
        self.counters: Counter[str] = Counter()
        self.rules: Rules | None = None
        self.zone = "UTC"
        self.sources = Sources()
        self.clock: int | None = None
        self.r = 0
        self.live = False
        self.live_ticks: dict[int, int] = {}
        self.source_partitions = 0
        self.waiting: list[dict[str, Any]] = []
        self.next_config: dict[str, Any] | None = None
        self.configurations = 0
        self.held: list[tuple[int, dict[str, Any]]] = []
        self.erased: set[tuple[str, int]] = set()
        self.buckets: set[tuple[str, int, str, str]] = set()

    def read_batch(self, values: list[bytes]) -> None:
        """Read the records of one batch; live, accounts are evaluated at its end."""
        for value in values:
            record = decode(value, self.partition, self.partitions)
            if record is None:
                self.counters["quarantined"] += 1
            else:
                self.read(record)
        if self.live:
            self.evaluate_touched()

    def read(self, record: dict[str, Any]) -> None:
        """What one record does; before the first configuration, records wait."""
        if record["type"] == "myaku.config":
            self.config(record)
        elif self.rules is None:
            self.waiting.append(record)
        elif record["type"] == "myaku.tick":
            self.tick(record)
        elif record["type"] == "user.erased":
            self.erase(record["user_id"], milliseconds(record["time"]))
        elif record["type"] == "myaku.barrier":
            if self.live:
                self.evaluate_touched()
            self.outbox.append(("myaku.barrier", record))
        elif record["type"] != "myaku.log":
            self.event(record)

    def config(self, record: dict[str, Any]) -> None:
        """A first configuration takes effect at once; the newest of later ones at the next tick."""
        if self.rules is not None:
            if same_midnights(self.zone, record["document"]["product"].get("time_zone", "UTC")):
                self.next_config = record
            else:
                self.counters["quarantined"] += 1
            return
        self.take_effect(record)
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            self.read(each)

    def take_effect(self, record: dict[str, Any]) -> None:
        """A configuration begins: signals that it adds are collected from now on."""
        self.configurations += 1
        self.outbox.append(("myaku.config", record | {"sequence": self.configurations}))
        document = record["document"]
        scoring = {part: document[part] for part in SCORING if part in document}
        revision = "sha256:" + hashlib.sha256(canonical(scoring)).hexdigest()
        if self.rules and revision == self.rules.revision:
            return
        old: dict[Signal, float] = self.rules.collected_since if self.rules else {}
        begins = float("-inf") if self.rules is None or self.clock is None else float(self.r)
        signals = signals_of(document)
        before = quiet_after(self.rules) if self.rules else None
        self.rules = SuccessRules(document, revision, {s: old.get(s, begins) for s in signals})
        self.zone = document["product"].get("time_zone", "UTC")
        cards = scoring["scorecards"]["scorecards"]
        names = {rule["id"] for card in cards for rule in card.get("rules", [])}
        names |= set(scoring["scorecards"]["metrics"])
        self.sources.heard |= dict.fromkeys(self.rules.declared)
        for account in self.accounts.values():
            account.touched = account.news = True
            account.credits = {s: account.credits.get(s, []) for s in signals}
            kept = {k: v for k, v in account.facts.items() if isinstance(k, str) or k in signals}
            account.facts = kept
            parts = {k: v for k, v in account.time_parts.items() if k in names}
            account.time_parts = Counter(parts)
            account.statuses = None if account.published else account.statuses
            if before not in (None, quiet_after(self.rules)):
                settle_key_users(self.rules, account, self.r)
        if not has_ranks(self.rules):
            self.ranked = False
            for account in self.accounts.values():
                take_ranks(account)

    def erase(self, user: str, time: int) -> None:
        """Who is known by the id up to a time has no name any more."""
        if all(until < time for name, until in self.erased if name == user):
            for account in self.in_order():
                for change in unname(account, user):
                    self.ranks.append(change | {"as_of": rfc3339(self.clock or 0)})
                account.waiting = without(account.waiting, user)
                if account.health:
                    told = without(account.health["signals"], user)
                    account.health = account.health | {"signals": told}
        self.erased.add((user, time))

    # -- time

    def tick(self, record: dict[str, Any]) -> None:
        """Time has come to the record's for one source partition."""
        if self.next_config is not None:
            self.take_effect(self.next_config)
            self.next_config = None
        time = milliseconds(record["time"])
        self.sources.refusals(record)
        if record["mode"] == "history":
            if not self.live and (self.clock is None or time >= self.clock):
                self.sources.tick(record)
                self.move_clock(time, goes_live=False)
            return
        self.sources.tick(record)
        source = record["source_partition"]
        self.live_ticks[source] = max(time, self.live_ticks.get(source, time))
        self.source_partitions = max(self.source_partitions, record["source_partitions"])
        sources = range(self.source_partitions)
        if all(source in self.live_ticks for source in sources):
            least = min(self.live_ticks[source] for source in sources)
            if not self.live or self.clock is None or least > self.clock:
                self.move_clock(max(least, self.clock or least), goes_live=True)

    def move_clock(self, to: int, *, goes_live: bool) -> None:
        """Close the days that end on the way; then evaluate, and pass the tick on."""
        moved = to != self.clock
        self.pass_midnights(to)
        self.live = self.live or goes_live
        self.turn_stale(to)
        self.evaluate_touched()
        if moved:
            passed: dict[str, Any] = {"type": "myaku.tick", "source_partition": 0}
            passed["source_partitions"] = max(1, self.source_partitions)
            passed |= {"time": rfc3339(to), "mode": self.mode}
            passed |= {"sources": {}, "rejected": {}}
            self.outbox.append(("myaku.tick", passed))

    def pass_midnights(self, to: int) -> None:
        """Close the days that end on the way, fold what was held for those that begin."""
        last = day_of(self.zone, to)
        if self.clock is None:
            self.clock, self.r = to, last
            for day in sorted({day for day, _ in self.held if day <= last}):
                self.fold_held(day)
        while self.r < last:
            self.close(self.r)
            self.r += 1
            self.clock = day_begin(self.zone, self.r)
            self.fold_held(self.r)
        self.clock = to

    def fold_held(self, day: int) -> None:
        """Fold the events that were held for a day, in the order of their arrival."""
        due = [event for of, event in self.held if of == day]
        self.held = [each for each in self.held if each[0] != day]
        for event in due:
            self.fold(event)

    def close(self, d: int) -> None:
        """Close a day: a history row for everyone, a publication for whom it changes."""
        for account in self.in_order():
            self.newest(account, d)
        assert self.rules is not None
        self.clock = midnight = day_begin(self.zone, d + 1)
        self.turn_stale(midnight)
        running = {account.id: account.newest for account in self.in_order()}
        self.rank(d + 1, midnight)
        for account in self.in_order():
            before = running[account.id]
            assert before is not None
            latch(self.rules, account, d)
            closed = self.evaluate(account, d + 1)
            for name in {*closed.units, *before.units}:
                account.time_parts[name] += closed.units.get(name, 0) - before.units.get(name, 0)
            account.history[d] = closed
            if account.stale:
                assert account.published is not None
                account.history[d] = account.published
                account.stale_days.add(d)
            self.publish(account, closed, d + 1, midnight)
            forget(self.rules, account, d + 1)
        self.buckets = {each for each in self.buckets if each[1] >= d + 1 - HORIZON}

    def turn_stale(self, t: int) -> None:
        """Who becomes stale is published as it is; who is no longer is evaluated in its turn."""
        assert self.rules is not None
        self.sources.judge(self.rules.declared, t)
        for account in self.in_order():
            account.unheard = self.sources.touch(account.id, self.r)
            stale = account.unheard and in_force(account, t) is None
            before, account.stale = account.stale, stale
            if stale and not before:
                self.publish(account, self.evaluate(account, self.r), self.r, t)
            account.touched = account.touched or (before and not stale)

    def rank(self, r: int, midnight: int) -> None:
        """What the close changes of the users' ranks."""
        assert self.rules is not None
        if has_ranks(self.rules) and usage_is_known(self.rules, r):
            self.ranked = True
            for account in [account for account in self.in_order() if not account.unheard]:
                changes = close_ranks(self.rules, account, r)
                self.ranks += [change | {"as_of": rfc3339(midnight)} for change in changes]
        for account in self.accounts.values():
            account.ranks_known = self.ranked
            if has_ranks(self.rules) and not account.unheard:
                find_key_users(self.rules, account, r)

    # -- events

    def event(self, event: dict[str, Any]) -> None:
        """Drop a duplicate, hold what is ahead of the clock, fold the rest."""
        if self.is_duplicate(event):
            self.counters["duplicates"] += 1
            return
        day = day_of(self.zone, milliseconds(event["time"]))
        if self.clock is None or day > self.r:
            self.held.append((day, event))
        else:
            self.fold(event)

    def is_duplicate(self, event: dict[str, Any]) -> bool:
        """Whether the event was seen; if not, it is remembered."""
        who = event["source"], event["id"]
        u = day_of(self.zone, milliseconds(event.get("original_time") or event["time"]))
        receipt = day_of(self.zone, milliseconds(event["received_at"]))
        in_range = self.clock is not None and self.r - HORIZON <= u <= self.r + 1
        places = {("receipt", day, *who) for day in range(receipt - 7, receipt + 8)}
        own = ("own", u, *who) if in_range else ("receipt", receipt, *who)
        if (places | {own}) & self.buckets:
            return True
        self.buckets.add(own)
        return False

    def fold(self, event: dict[str, Any]) -> None:
        """Facts, then signals, then whether the account is late."""
        assert self.rules is not None
        assert self.clock is not None
        account = self.accounts.setdefault(event["account_id"], Scored(event["account_id"]))
        if account.newest is None and not account.credits:
            account.touched = account.news = True
            account.credits = {signal: [] for signal in self.rules.collected_since}
        time = milliseconds(event["time"])
        day = day_of(self.zone, time)
        news = self.learn(account, event, time)
        too_old = day < self.r - HORIZON
        self.sources.fold(event, day, self.clock, too_old=too_old)
        if too_old:
            self.counters["too_old"] += 1
        else:
            self.credit(account, event, day)
            person = person_of(self.erased, event)
            erasures = erasures_of(self.erased, event.get("user_id"))
            name = person[0] if person and person[1] == erasures else None
            signals_of_event(self.rules, account, event | {"user_id": name}, self.r)
            see(account, person, erasures, day)
        if too_old and not news:
            return
        account.touched = account.news = True
        since = milliseconds(event["received_at"]) if self.live else self.clock
        account.late = account.late or since - time > DAY_MS

    def learn(self, account: Scored, event: dict[str, Any], time: int) -> bool:
        """Last writer wins; whether anything is new."""
        assert self.rules is not None
        found: list[tuple[str | Signal, Any]] = []
        results = []
        for name, value in profile_facts(event):
            room = has_room([one for one in account.facts if isinstance(one, str)], name)
            fits = is_short(name, value)
            self.counters["fields_left_out"] += not (room and fits)
            if room:
                fact = Fact(time, event["id"].encode(), value if fits else None)
                results.append(account.learn(name, fact))
        for signal in self.rules.collected_since:
            if signal.kind == "latest" and signal.matches(event):
                value = number(event["properties"].get(signal.property))
                found += [] if value is None else [(signal, value)]
        results += [account.learn(k, Fact(time, event["id"].encode(), v)) for k, v in found]
        results.append(learn_override(account, event))
        results.append(learn_success(account, event, self.counters))
        return any(results)

    def credit(self, account: Scored, event: dict[str, Any], day: int) -> None:
        """Credit every signal that counts the event."""
        for signal, credits in account.credits.items():
            value = event["properties"].get(signal.property)
            user = person_of(self.erased, event)
            counts = {
                "users": user is not None,
                "sum": number(value) is not None,
                "distinct": isinstance(value, str | bool | int | float),
                "open": isinstance(value, str | bool | int | float),
            }.get(signal.kind, True)
            if counts and signal.matches(event):
                value = number(value) if signal.kind == "sum" else value
                stamp = milliseconds(event["time"]), event["id"].encode()
                closes = signal.closes(event)
                credits.append(Credit(day, user, value, stamp, closes))

    # -- publications

    def in_order(self) -> list[Scored]:
        """Accounts in ascending order of their id's bytes."""
        return sorted(self.accounts.values(), key=lambda account: account.id.encode())

    def evaluate(self, account: Scored, r: int) -> Evaluation:
        """The account's health while day r runs, from all that it did."""
        assert self.rules is not None
        override = in_force(account, self.clock or 0)
        account.newest, account.touched = self.rules.evaluate(account, r, override), False
        return account.newest

    def newest(self, account: Scored, r: int) -> Evaluation:
        """The last evaluation; a new one if the account was touched or its override ended."""
        newest = account.newest
        override = in_force(account, self.clock or 0)
        if account.touched or newest is None or newest.override != override:
            return self.evaluate(account, r)
        return newest

    def evaluate_touched(self) -> None:
        """Evaluate and publish what was touched, as of the clock."""
        assert self.clock is not None
        for account in self.in_order():
            newest = self.newest(account, self.r)
            self.publish(account, newest, self.r, self.clock)

    def publish(self, account: Scored, new: Evaluation, r: int, as_of: int) -> None:
        """Publish an evaluation that differs from the last publication."""
        assert self.rules is not None
        while publish(self.rules, account, new, r, as_of, self.mode):
            self.outbox.append((account.id, account.health))

    @property
    def mode(self) -> str:
        """Whether this is the past being told, or the present."""
        return "live" if self.live else "history"


def signals_of(document: dict[str, Any]) -> list[Signal]:
    """What a configuration counts, each once."""
    counted = [*metrics_of(document).values(), TICKETS]
    found = [signal_of(metric, document["product"]) for metric in counted]
    signals = [signal for signal in found if signal is not None]
    return [*dict.fromkeys([*signals, *earning_signals(document)])]
