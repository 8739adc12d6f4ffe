"""What records and users make of a partition's alerts; docs/alerts.md states it in words. Pure."""

import heapq
from collections.abc import Sequence
from typing import Literal, NamedTuple

from msgspec.structs import replace

from services.alerts.alert import Alert, Event, alert_id, begun, moved
from services.alerts.notifications import FIRES, compose, evidence
from services.alerts.records import Entry, News, Rulebook, Time
from services.alerts.rules import (
    Acknowledged,
    Closed,
    Reading,
    Reference,
    Removed,
    Standing,
    Threshold,
    Timers,
    Transition,
    Was,
    Way,
    WentLive,
    step,
)
from services.alerts.rules.standing import Input
from services.alerts.state import Effects, Key, Newest, State
from services.alerts.wording import Facts
from shared.events import Barrier, Health

GAP_MS = 3_600_000
"""Live ticks further apart than this have a gap between them: what it makes cross is adopted."""
NEWS = frozenset({"pending", "opened", "reopened", "raised", "lowered", "notified", "adopted"})
"""Events that bring an alert's owner, score, title and reasons up to date."""


class Act(NamedTuple):
    """What a user does to an alert."""

    what: Literal["acknowledge", "close"]
    by: str
    reason: str = ""


def decide(state: State, entries: Sequence[Entry], *, deliver_history: bool) -> Effects:
    """Handle the entries in order, in `state`; returns what changed in it."""
    decision = _Decision(state, deliver_history)
    for entry in entries:
        decision.handle(entry)
    return decision.effects


def act(state: State, key: Key, user_act: Act, *, deliver_history: bool) -> Effects:
    """Let a user act on a standing; no event of the act where it is not possible."""
    assert state.clock_ms is not None
    what, by, reason = user_act
    decision = _Decision(state, deliver_history)
    way: Way = "send" if state.live or deliver_history else "record"
    decision.run_timers(key[0], state.clock_ms - 1, way)
    given = (
        Acknowledged(state.clock_ms, by, way)
        if what == "acknowledge"
        else Closed(state.clock_ms, by, reason, way)
    )
    decision.step(key, given)
    return decision.effects


class _Decision:
    """One decision on its way."""

    def __init__(self, state: State, deliver_history: bool) -> None:
        self.state = state
        self.deliver_history = deliver_history
        self.effects = Effects()
        self.due: list[tuple[int, Key]] = [
            (due_ms, key)
            for key, standing in state.standings.items()
            if (due_ms := standing.due_ms) is not None
        ]
        heapq.heapify(self.due)

    def handle(self, entry: Entry) -> None:
        """One record."""
        self.effects.handled += 1
        match entry:
            case News():
                self._news(entry)
            case Time():
                self._time(entry)
            case Rulebook():
                self._configure(entry)
            case Barrier():
                self.effects.barriers.append(entry.id)

    def _rules(self) -> dict[str, Threshold]:
        return self.state.rulebook.rules if self.state.rulebook else {}

    def _reach(self, at_ms: int) -> int:
        """Move the clock; the time of the record, which never is before the clock."""
        clock_ms = self.state.clock_ms
        self.state.clock_ms = at_ms if clock_ms is None else max(clock_ms, at_ms)
        return self.state.clock_ms

    def _news(self, entry: News) -> None:
        health = entry.health
        account_id = health.account_id
        known = self.state.accounts.get(account_id)
        if known is not None and health.sequence <= known.sequence:
            self.effects.repeated += 1
            return
        at_ms = self._reach(entry.at_ms)
        way = self._way(health.mode == "live", at_ms)
        self.run_timers(account_id, at_ms - 1, way)
        if way == "send" and self.state.live and is_no_news(known, health):
            way = "adopt"
        self.state.accounts[account_id] = Newest(health.sequence, entry.value, health)
        self.effects.accounts.add(account_id)
        for rule in self._rules():
            self.step((account_id, rule, ""), reading(health, at_ms, way))

    def _way(self, live: bool, at_ms: int) -> Way:
        """What becomes of notes at an instant, of a record that is live or not."""
        if not (live and self.state.live):
            return "send" if self.deliver_history else "record"
        assert self.state.tick_ms is not None
        return "adopt" if at_ms - self.state.tick_ms > GAP_MS else "send"

    def run_timers(self, account_id: str, until_ms: int, way: Way) -> None:
        """Run the account's timers that are due by then, with the health that it has now."""
        for rule in self._rules():
            key = (account_id, rule, "")
            standing = self.state.standings.get(key)
            due_ms = standing.due_ms if standing else None
            if due_ms is not None and due_ms <= until_ms:
                self._run(key, until_ms, way)

    def _run(self, key: Key, until_ms: int, way: Way) -> None:
        self.step(key, Timers(until_ms, known_score(self.state.accounts[key[0]].health), way))

    def _time(self, tick: Time) -> None:
        if self.state.clock_ms is not None and tick.at_ms < self.state.clock_ms:
            return  # sent again after a crash: what was due by then has been run
        at_ms = self._reach(tick.at_ms)
        way = self._way(tick.live, at_ms)
        while self.due and self.due[0][0] <= at_ms:
            due_ms, key = heapq.heappop(self.due)
            if self.state.standings[key].due_ms == due_ms:
                self._run(key, at_ms, way)
        goes_live = tick.live and not self.state.live
        self.state.live, self.state.tick_ms = tick.live, at_ms
        if goes_live:
            for key in sorted(self.state.standings):
                score = known_score(self.state.accounts[key[0]].health)
                self.step(key, WentLive(at_ms, score, "adopt"))

    def _configure(self, book: Rulebook) -> None:
        known = self.state.rulebook
        if known and (known.value == book.value or 0 < book.sequence <= known.sequence):
            return  # sent again after a crash: a newer one may be in force
        before, at_ms = self._rules(), self.state.clock_ms
        if at_ms is None:
            self._use(book)
            return
        way = self._way(self.state.live, at_ms)
        for account_id in self.state.accounts:
            self.run_timers(account_id, at_ms - 1, way)
        way = "adopt" if self.state.live else way
        for key in sorted(key for key in self.state.standings if key[1] not in book.rules):
            self.step(key, Removed(at_ms, way))
        self._use(book)
        changed = [name for name, rule in book.rules.items() if rule != before.get(name)]
        for account_id in sorted(self.state.accounts) if changed else ():
            given = reading(self.state.accounts[account_id].health, at_ms, way)
            for name in changed:
                self.step((account_id, name, ""), given)

    def _use(self, book: Rulebook) -> None:
        self.state.rulebook = book
        self.effects.configured = True

    def step(self, key: Key, given: Input) -> None:
        """Let one input happen to one standing."""
        account_id, rule_id, subject = key
        rule = self._rules().get(rule_id)
        before = self.state.standings.get(key)
        known = before or Standing(rule_id, account_id, subject)
        after, transitions = step(rule, known, given)
        for transition in transitions:
            self._happen(key, rule, transition)
        if isinstance(given, Reading) and after.clear and not after.held:
            after = replace(after, reference=reference(self.state.accounts[account_id].health))
        if after is before:
            return
        self.state.standings[key] = after
        self.effects.standings.add(key)
        if (due_ms := after.due_ms) is not None and (before is None or due_ms != before.due_ms):
            heapq.heappush(self.due, (due_ms, key))

    def _happen(self, key: Key, rule: Threshold | None, transition: Transition) -> None:
        assert self.state.rulebook is not None
        account_id, rule_id, subject = key
        health = self.state.accounts[account_id].health
        facts = Facts(health, transition.standing.reference, rule.sign if rule else 1)
        name = alert_id(rule_id, account_id, subject, transition.episode)
        alert = self.state.alerts.get(name) or begun(name, transition)
        alert = moved(alert, transition)
        book = self.state.rulebook
        directory, console_url = book.directory, book.directory.routing.console_url
        if rule and transition.what in NEWS:
            alert = replace(alert, play=rule.play)
            owner = directory.owner(health.profile, book.today(transition.at_ms))
            alert = evidence(alert, rule.title, owner, facts)
        lanes = directory.lanes(alert.owner, transition.severity, rule_id, health.profile)
        if transition.note and transition.note.kind in FIRES:
            before = [] if transition.note.kind != "raised" else alert.told_to
            alert = replace(alert, told_to=list(dict.fromkeys([*before, *lanes])))
        else:
            lanes = alert.told_to or lanes
        self._keep(alert, transition)
        if transition.note:
            self.effects.notifications += [
                compose(alert, transition, lane, facts, console_url) for lane in lanes
            ]

    def _keep(self, alert: Alert, transition: Transition) -> None:
        if transition.what == "discarded" and alert.opened_ms is None:
            self.state.alerts.pop(alert.id, None)
        else:
            self.state.alerts[alert.id] = alert
        self.effects.alerts.add(alert.id)
        self.effects.events.append(
            Event(
                alert_id=alert.id,
                number=transition.number,
                at_ms=transition.at_ms,
                what=transition.what,
                severity=transition.severity,
                score=transition.score,
                by=transition.by,
                reason=transition.reason,
            )
        )


def reading(health: Health, at_ms: int, way: Way) -> Reading:
    """A health as the rules read it."""
    return Reading(at_ms, known_score(health), is_excluded(health), way)


def known_score(health: Health) -> float | None:
    """The score; None where it is stale."""
    return None if health.stale else health.score


def is_no_news(before: Newest | None, health: Health) -> bool:
    """Whether a health is another for a reason that is no alarm: a changed scorecard, metrics for
    which the kept log was read, events that came late, or a source that was silent until now."""
    if before and before.health.stale:
        return True
    if before and before.health.scorecard.revision != health.scorecard.revision:
        return True
    causes = {part.cause for driver in health.drivers for part in driver.causes}
    is_backfilled = before and before.health.scorecard == health.scorecard and "scorecard" in causes
    return "late" in causes or bool(is_backfilled)


def is_excluded(health: Health) -> bool:
    """Whether the account is never alerted: internal, or closed."""
    return health.profile.get("excluded") is True or health.profile.get("closed") is True


def reference(health: Health) -> Reference:
    """The health as what later is compared with it."""
    assert health.score is not None
    measures = {
        driver.measure: Was(driver.value, driver.weight, driver.contribution)
        for driver in health.drivers
    }
    return Reference(health.score, health.as_of, measures)
