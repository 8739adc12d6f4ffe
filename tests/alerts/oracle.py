"""A second reading of docs/alerts.md: one record, one standing, one timer at a time.

Slow and obvious on purpose. It shares nothing with the rules, and knows nothing of them.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from tests.alerts.oracle_reports import Ledger
from tests.alerts.oracle_standing import (
    AN_HOUR,
    PUT_OFF,
    Cause,
    Standing,
    arm,
    beyond,
    duration,
    milliseconds,
    verdict_of,
    worse,
)


def no_alarm(before: dict[str, Any] | None, health: dict[str, Any]) -> bool:
    """Whether a health is another by a changed scorecard, by late events, by what the log
    said of new metrics, or fresh again."""
    if before and before["stale"]:
        return True
    changed = before and before["scorecard"]["revision"] != health["scorecard"]["revision"]
    late = [
        driver
        for driver in health["drivers"]
        if "late" in [part["cause"] for part in driver.get("causes", [])]
    ]
    learned = before and before["scorecard"] == health["scorecard"]
    learned = learned and "scorecard" in [
        part["cause"] for driver in health["drivers"] for part in driver.get("causes", [])
    ]
    return bool(changed or late or learned)


@dataclass
class Oracle:
    """One partition of `health.changes`; what comes out are alerts, events and notifications."""

    deliver_history: bool = False
    clock: int | None = None
    newest_tick: int | None = None
    is_live: bool = False
    configuration: int = 0
    rules: list[dict[str, Any]] = field(default_factory=list)
    standings: dict[tuple[str, str], Standing] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)

    def read(self, value: bytes) -> None:
        """One record."""
        record = json.loads(value)
        kind = record.get("type", "health")
        if kind == "myaku.tick":
            self.tick(record)
        elif kind == "myaku.config":
            self.configure(record)
        elif kind == "health":
            self.news(record)

    def reach(self, instant: int) -> int:
        """Move the clock, which never falls."""
        self.clock = instant if self.clock is None else max(self.clock, instant)
        return self.clock

    def news(self, health: dict[str, Any]) -> None:
        """An account's health."""
        account = health["account_id"]
        if (
            account in self.ledger.health
            and health["sequence"] <= self.ledger.health[account]["sequence"]
        ):
            return
        t = self.reach(milliseconds(health["as_of"]))
        way = self.way(t, health["mode"])
        self.run_timers(account, t - 1, way)
        if self.is_live and way == "sent" and no_alarm(self.ledger.health.get(account), health):
            way = "adopted"
        self.ledger.health[account] = health
        for rule in self.rules:
            standing = self.standings.setdefault(
                (account, rule["id"]), Standing(rule["id"], account)
            )
            self.reading(rule, standing, Cause(t, "condition", self.score(account), way))

    def way(self, t: int, mode: str) -> str:
        """The way of the notes that something causes."""
        if mode == "live" and self.is_live:
            assert self.newest_tick is not None
            return "adopted" if t - self.newest_tick > AN_HOUR else "sent"
        return "sent" if self.deliver_history else "recorded"

    def score(self, account: str) -> float | None:
        """The score of the account's newest reading; none where it is stale."""
        health = self.ledger.health[account]
        score: float | None = None if health.get("stale") else health["score"]
        return score

    def tick(self, record: dict[str, Any]) -> None:
        """Time passes for every account."""
        if self.clock is not None and milliseconds(record["time"]) < self.clock:
            return
        t = self.reach(milliseconds(record["time"]))
        way = self.way(t, record["mode"])
        for account in sorted(self.ledger.health):
            self.run_timers(account, t, way)
        was_live, self.is_live = self.is_live, record["mode"] == "live"
        self.newest_tick = t
        if self.is_live and not was_live:
            self.go_live(t)

    def go_live(self, t: int) -> None:
        """What is open and was said to nobody is adopted."""
        by_id = {rule["id"]: rule for rule in self.rules}
        for (account, rule_id), standing in sorted(self.standings.items()):
            if standing.is_open and (standing.told is None or standing.was_recorded):
                reason = "the deployment went live"
                cause = Cause(t, "condition", self.score(account), "adopted", reason)
                kind = "reopened" if standing.again else "opened"
                standing.told = None
                self.give_now(by_id[rule_id], standing, cause, "adopted", kind)

    def configure(self, record: dict[str, Any]) -> None:
        """Rules that are gone end what they opened; others go on in their new form."""
        sequence, document = record.get("sequence", 0), record["document"]
        if 0 < sequence <= self.configuration:
            return
        self.configuration = sequence
        t, rules = self.clock, document["alerts"].get("rules", [])
        new = [rule for rule in rules if rule not in self.rules]
        if t is not None:
            way = self.way(t, "live" if self.is_live else "history")
            for account in self.ledger.health:
                self.run_timers(account, t - 1, way)
            way = "adopted" if self.is_live else way
            kept = [rule["id"] for rule in rules]
            for (_, rule_id), standing in sorted(self.standings.items()):
                if rule_id not in kept:
                    self.forget(standing, Cause(t, "rule", None, way))
        self.rules = rules
        self.ledger.routing = document["routing"]
        self.ledger.people = document.get("people", {}).get("people", [])
        for account in sorted(self.ledger.health) if t is not None else ():
            for rule in new:
                standing = self.standings.setdefault(
                    (account, rule["id"]), Standing(rule["id"], account)
                )
                self.reading(rule, standing, Cause(t or 0, "condition", self.score(account), way))

    def rule_names(self) -> list[str]:
        """The rules in force."""
        return [rule["id"] for rule in self.rules]

    # -- timers

    def run_timers(self, account: str, until: int, way: str) -> None:
        """The account's timers that are due by then, each at its own instant."""
        for rule in self.rules:
            standing = self.standings.get((account, rule["id"]))
            while standing is not None and standing.due is not None and standing.due <= until:
                cause = Cause(standing.due, "condition", self.score(account), way)
                self.timer(rule, standing, cause)

    def timer(self, rule: dict[str, Any], standing: Standing, cause: Cause) -> None:
        """One timer."""
        if standing.state == "pending":
            self.open(rule, standing, cause)
        elif standing.state == "recovering":
            self.end(standing, cause, "resolved")
        else:
            cause.reason = "the cooldown is over"
            kind = "reopened" if standing.again else "opened"
            self.give(rule, standing, cause, "notified", "raised" if standing.told else kind)

    # -- readings

    def reading(self, rule: dict[str, Any], standing: Standing, cause: Cause) -> None:
        """What one reading does, in the order of the page."""
        health, t = self.ledger.health[standing.account], cause.at
        profile = health["profile"]
        if profile.get("excluded") is True or profile.get("closed") is True:
            cause.by = "account"
            self.forget(standing, cause)
            return
        if cause.score is None:
            standing.held = True
            return
        if standing.held:
            standing.held = False
            if standing.ends is not None:
                standing.ends = max(standing.ends, t)
            if standing.note_due is not None:
                standing.note_due = max(standing.note_due, t)
        verdict, severity = verdict_of(rule, cause.score)
        arm(rule, standing, t, verdict)
        if standing.latch and (
            verdict == "CLEAR" or (severity and worse(severity, standing.latch))
        ):
            standing.latch = None
        self.by_state(rule, standing, cause, verdict, severity)
        if verdict == "CLEAR":
            standing.reference = health

    def by_state(
        self,
        rule: dict[str, Any],
        standing: Standing,
        cause: Cause,
        verdict: str,
        severity: str | None,
    ) -> None:
        """What the reading means where the standing is."""
        if standing.state == "normal":
            if severity is not None and standing.armed and standing.latch is None:
                self.breach(rule, standing, cause, severity)
        elif standing.state == "pending":
            if severity is not None:
                standing.severity = severity
            else:
                self.discard(standing, cause)
        elif verdict == "CLEAR":
            self.recover(rule, standing, cause)
        else:
            if standing.state == "recovering":
                standing.state, standing.ends = "firing", None
                if standing.note_due is not None:
                    standing.note_due = max(standing.note_due, cause.at)
                self.ledger.happen(standing, cause, "relapsed")
            self.follow(rule, standing, cause)

    def breach(self, rule: dict[str, Any], standing: Standing, cause: Cause, severity: str) -> None:
        """A new breach: the same alert again, or the next episode."""
        within = duration(rule, "reopen_within", "72h")
        resolved = standing.resolved_at
        standing.again = resolved is not None and cause.at - resolved <= within
        standing.before_pending = standing.episode
        standing.episode += 0 if standing.again else 1
        standing.severity, standing.adopted = severity, cause.way == "adopted"
        wait = duration(rule, "for")
        if wait == 0:
            self.open(rule, standing, cause)
            return
        standing.state, standing.ends = "pending", cause.at + wait
        self.ledger.happen(standing, cause, "pending", rule)

    def open(self, rule: dict[str, Any], standing: Standing, cause: Cause) -> None:
        """The alert is open."""
        standing.state, standing.handling, standing.ends = "firing", "new", None
        standing.told, standing.note_due = None, None
        standing.adopted = standing.adopted or cause.way == "adopted"
        if not standing.again or standing.opened_at is None:
            standing.opened_at = cause.at
        what = "reopened" if standing.again else "opened"
        self.give(rule, standing, cause, what, what)

    def discard(self, standing: Standing, cause: Cause) -> None:
        """A pending alert comes to nothing."""
        standing.state, standing.ends, standing.adopted = "normal", None, False
        self.ledger.happen(standing, cause, "discarded")
        standing.episode, standing.severity = standing.before_pending, None

    def recover(self, rule: dict[str, Any], standing: Standing, cause: Cause) -> None:
        """CLEAR, while it is open."""
        if standing.state == "recovering":
            return
        wait = duration(rule, "clear_for")
        if wait == 0:
            self.end(standing, cause, "resolved")
            return
        standing.state, standing.ends = "recovering", cause.at + wait
        self.ledger.happen(standing, cause, "recovering")

    def follow(self, rule: dict[str, Any], standing: Standing, cause: Cause) -> None:
        """The severity follows the score."""
        assert cause.score is not None
        assert standing.severity is not None
        now = standing.severity
        new = now
        for level in rule["levels"]:
            uncleared = beyond(rule, cause.score, level["clear"])
            not_worse = not worse(level["severity"], now)
            if beyond(rule, cause.score, level["trigger"]) or (not_worse and uncleared):
                new = level["severity"]
        standing.severity = new
        told = standing.told is not None and not worse(new, standing.told)
        if worse(now, new):
            if told:
                standing.note_due = None
            self.ledger.happen(standing, cause, "lowered", rule)
        elif worse(new, now):
            standing.handling, standing.adopted = "new", cause.way == "adopted"
            if told:
                self.ledger.happen(standing, cause, "raised", rule)
            else:
                kind = "reopened" if standing.again else "opened"
                self.give(rule, standing, cause, "raised", "raised" if standing.told else kind)

    # -- notes and ends

    def give(
        self, rule: dict[str, Any], standing: Standing, cause: Cause, what: str, kind: str
    ) -> None:
        """A note that something fires, now or when the cooldown is over."""
        assert standing.severity is not None
        cooling = standing.cooldown_ends is not None and cause.at < standing.cooldown_ends
        if cooling and not worse(standing.severity, standing.newest_note):
            standing.note_due = standing.cooldown_ends
            cause.reason = PUT_OFF
            self.ledger.happen(standing, cause, what, rule)
            return
        self.give_now(rule, standing, cause, what, kind)

    def give_now(
        self, rule: dict[str, Any], standing: Standing, cause: Cause, what: str, kind: str
    ) -> None:
        """A note that something fires, whatever the cooldown."""
        standing.told = standing.newest_note = standing.severity
        standing.cooldown_ends = cause.at + duration(rule, "cooldown", "24h")
        way = "adopted" if standing.adopted and cause.way == "sent" else cause.way
        standing.note_due, standing.was_recorded = None, way == "recorded"
        standing.adopted = False
        self.ledger.happen(standing, cause, what, rule)
        self.ledger.notify(standing, cause, kind, way)

    def end(self, standing: Standing, cause: Cause, what: str) -> None:
        """An open alert ends; only by its condition may it open again as the same."""
        told = standing.told is not None
        standing.state, standing.handling, standing.told = "normal", "new", None
        standing.ends, standing.note_due, standing.adopted = None, None, False
        standing.resolved_at = cause.at if cause.by == "condition" else None
        self.ledger.happen(standing, cause, what)
        if told:
            self.ledger.notify(
                standing, cause, what, "recorded" if standing.was_recorded else cause.way
            )
        standing.severity = None

    def forget(self, standing: Standing, cause: Cause) -> None:
        """The account is excluded, or the rule is gone."""
        if standing.state == "pending":
            self.discard(standing, cause)
        elif standing.is_open:
            self.end(standing, cause, "resolved")
        standing.armed, standing.calm_since, standing.held = False, None, False
        standing.latch, standing.resolved_at, standing.reference = None, None, None

    # -- users

    def act(self, account: str, rule: str, what: str, by: str, reason: str = "") -> None:
        """A user acknowledges or closes."""
        assert self.clock is not None
        way = "sent" if self.is_live or self.deliver_history else "recorded"
        self.run_timers(account, self.clock - 1, way)
        standing = self.standings[account, rule]
        cause = Cause(self.clock, by, None, way, reason)
        if what == "close" and standing.is_open:
            latch = standing.severity if standing.state == "firing" else standing.latch
            self.end(standing, cause, "closed")
            standing.latch = latch
        elif what == "acknowledge" and standing.is_open and standing.handling == "new":
            standing.handling, standing.note_due = "acked", None
            self.ledger.happen(standing, cause, "acknowledged")
            if standing.told is not None:
                self.ledger.notify(
                    standing, cause, "acknowledged", "recorded" if standing.was_recorded else way
                )
