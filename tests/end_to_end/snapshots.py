"""Everything that a deployment knows, without what may differ: partitions, offsets, row numbers."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.end_to_end.installation import Installation

Rows = list[tuple[Any, ...]]

OF_ACCOUNTS = {
    "account": "created_day",
    "account_signal": "day, id, kind, waiting::text",
    # Its ring of days is turned when the row is next written or loaded.
    "account_user": "user_id, last_day, rank, settling, record::text, watch",
    "day_sum": "signal_no, day, value",
    "fact": "name, time_ms, event_id, value::text",
    "milestone": "since_day, reached",
    "published": "sequence, as_of_ms, score_tenths, computed_tenths, coverage_hundredths, shares,"
    " time_parts, gone::text, override::text, late, news, crossing_day, crossing_band, backfilled",
    "signal_record": "sequence, day, record::text",
    "success": "matrix_x, matrix_y, matrix_stage, matrix_action, onboarding, onboarding_code",
}
"""Scoring's tables of accounts, and what of their rows is the same in every run."""

OTHERS = {
    "who is where": "SELECT user_id, account_id, joined, time, event_id FROM ingest.membership",
    "parked": "SELECT source, event_id, user_id, value FROM ingest.parked",
    "held": "SELECT day, key, value FROM scoring.held",
    "put aside": "SELECT reason, value FROM scoring.quarantine UNION ALL"
    " SELECT reason, value FROM alerts.quarantine",
    "known ids": "SELECT bucket, sum(length(hashes)) FROM scoring.seen GROUP BY 1",
    "signals": "SELECT DISTINCT signal_no, definition, since_day FROM scoring.signal",
    "counters": "SELECT sum(counted), sum(too_old) FROM scoring.partition",
    "clocks": "SELECT DISTINCT clock_ms, live FROM alerts.partition",
    "standings": "SELECT account_id, rule, subject, episode, due_ms, record FROM alerts.standing",
    "newest": "SELECT account_id, sequence, health FROM alerts.account",
    "sent": "SELECT id, recipient, at_ms, status, digest_id FROM alerts.notification",
}


HORIZON_DAYS = 120
DAYS = (
    "SELECT account_id, signal_no, {} FROM scoring.{}"
    " JOIN scoring.account USING (partition, account_no)"
)


@dataclass(frozen=True)
class Snapshot:
    """What people can see: health, its history, alerts and what was said of them; and the rest."""

    health: Rows
    history: Rows
    alerts: Rows
    events: Rows
    notifications: Rows
    rest: dict[str, Rows]

    def differs_from(self, other: "Snapshot") -> str:
        """What is different, shortly; empty if nothing is."""
        lines = []
        theirs = {**vars(other), **other.rest}
        for name, rows in {**vars(self), **self.rest}.items():
            if name == "rest" or rows == theirs[name]:
                continue
            here, there = set(map(repr, rows)), set(map(repr, theirs[name]))
            more, less = sorted(here - there), sorted(there - here)
            lines.append(f"{name}: {len(more)} more, {len(less)} less: {more[:2]}, {less[:2]}")
        return "\n".join(lines)


async def snapshot(installation: Installation) -> Snapshot:
    """The state of an installation that is at rest."""
    return Snapshot(
        health=await installation.rows(
            "SELECT account_id, sequence, record::text FROM scoring.health"
            ' ORDER BY account_id COLLATE "C"'
        ),
        history=await installation.rows(
            "SELECT a.account_id, h.day, h.score_tenths, h.band, h.coverage_hundredths,"
            " h.scorecard, h.revision, h.stale FROM scoring.history h"
            " JOIN scoring.account a USING (partition, account_no)"
            ' ORDER BY a.account_id COLLATE "C", h.day'
        ),
        alerts=await installation.rows(
            "SELECT to_jsonb(a) - 'partition' FROM alerts.alert a ORDER BY a.id"
        ),
        events=await installation.rows(
            "SELECT to_jsonb(e) - 'partition' FROM alerts.event e ORDER BY e.alert_id, e.number"
        ),
        notifications=await installation.rows(
            "SELECT n.id, n.alert_id, n.number, n.destination, n.kind, n.body::text"
            " FROM alerts.notification n ORDER BY n.id"
        ),
        rest=await _rest(installation),
    )


async def _rest(installation: Installation) -> dict[str, Rows]:
    """All other tables, in an order of their own."""
    questions = dict(OTHERS)
    ((clock_ms,),) = await installation.rows("SELECT min(clock_ms) FROM alerts.partition")
    sets = await installation.rows(DAYS.format("thing, at_day, low, high", "day_set"))
    actives = await installation.rows(
        DAYS.format("first_day, last_day, faded, at_day, low, high", "active_day")
    )
    for table, columns in OF_ACCOUNTS.items():
        joined = "" if table == "account" else " JOIN scoring.account USING (partition, account_no)"
        questions[table] = f"SELECT account_id, {columns} FROM scoring.{table}{joined}"
    found = {
        name: sorted(await installation.rows(question), key=repr)
        for name, question in questions.items()
    }
    found["days of things"] = _things(sets, clock_ms // 86_400_000)
    found["active days"] = sorted(map(_active, actives))
    return found


def _days(at_day: int, low: int, high: int) -> list[int]:
    """The days whose bits are set; day d has bit d mod 128, and none is older than 127 days."""
    bits = (high % 2**64 << 64) | low % 2**64
    return [day for day in range(at_day - 127, at_day + 1) if bits >> day % 128 & 1]


def _things(rows: Rows, today: int) -> Rows:
    """How many things each account has on each day that still counts.

    What has left every window is cleared when a row is next written or loaded.
    """
    return sorted(
        Counter(
            (account, signal, day)
            for account, signal, _, *bits in rows
            for day in _days(*bits)
            if day > today - HORIZON_DAYS
        ).items()
    )


def _active(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """An account's active days as one sum, in whatever part of it they stand by now."""
    account, signal, first, last, faded, at_day, *bits = row
    inside = [day for day in _days(at_day, *bits) if day >= at_day - HORIZON_DAYS]
    total = faded + sum(2.0 ** (day / HORIZON_DAYS) for day in inside)
    return account, signal, first, last, f"{total:.9e}"
