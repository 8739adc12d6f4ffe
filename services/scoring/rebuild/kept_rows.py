"""What each table says of a partition, without what the size of commits decides. Pure.

Each row is a key and a value, ordered by key. Numbers of accounts and signals are their names, and
bits of days are those of one running day, whichever day they were written on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from services.scoring.engine.active_days import turned
from services.scoring.engine.days import turned_bits
from services.scoring.tables.users import unpack

Signals = Mapping[int, str]
"""Definitions by number."""


@dataclass(frozen=True)
class Table:
    """How a table is read: `key` and `values` are SQL over `rows`, $1 the partition."""

    rows: str
    key: str
    values: str
    of: Callable[[Any, int, Signals], Any] = lambda row, day, signals: tuple(row)[1:]
    """A row's value while a day runs; None for a row that says nothing any more."""


def _day_set(row: Any, day: int, _: Signals) -> Any:
    keep = turned_bits(row.at_day, day)
    words = tuple(int(np.int64(word).view(np.uint64) & kept) for word, kept in zip(
        (row.low, row.high), keep, strict=True))  # fmt: skip
    return words if any(words) else None


def _active_day(row: Any, day: int, _: Signals) -> Any:
    low, high = (np.array([word], np.int64).view(np.uint64) for word in (row.low, row.high))
    faded = turned(low, high, np.array([row.faded]), row.at_day, day)
    keep_low, keep_high = turned_bits(row.at_day, day)
    words = int(low[0] & keep_low), int(high[0] & keep_high)
    return *words, row.first_day, row.last_day, float(faded[0])


def _account_user(row: Any, day: int, signals: Signals) -> Any:
    numbers = list(signals)
    words = unpack([row.bits], np.array([row.at_day]), day, numbers)
    days = {
        signals[number]: (int(low[0]), int(high[0]))
        for number, (low, high) in zip(numbers, words, strict=True)
        if low[0] or high[0]
    }
    told = row.user_id, row.last_day, row.rank, row.settling, row.watch, row.record
    return *told, tuple(sorted(days.items()))


def _seen(row: Any, *_: Any) -> Any:
    hashes = np.sort(np.frombuffer(row.hashes, "<u8"))
    return len(hashes), sha256(hashes.tobytes()).hexdigest()[:16]


def _of_accounts(table: str) -> str:
    return f"scoring.{table} t JOIN scoring.account a USING (partition, account_no)"


def _of_signals(table: str) -> str:
    return f"{_of_accounts(table)} JOIN scoring.signal s USING (partition, signal_no)"


_ACCOUNT = "json_build_array(a.account_id)::text"

STATE = {
    "partition": Table(
        "scoring.partition t",
        "''",
        "clock->'clock', clock->'ranked', counted, duplicates, too_old",
    ),
    "configuration": Table("scoring.configuration t", "place", "record"),
    "signal": Table("scoring.signal t", "definition", "since_day"),
    "account": Table("scoring.account a", _ACCOUNT, "created_day"),
    "fact": Table(
        _of_accounts("fact"),
        "json_build_array(a.account_id, name)::text",
        "time_ms, event_id, value::text",
    ),
    "day_sum": Table(
        _of_signals("day_sum"),
        "json_build_array(a.account_id, definition, day)::text",
        "value",
    ),
    "day_set": Table(
        _of_signals("day_set"),
        "json_build_array(a.account_id, definition, thing)::text",
        "at_day, low, high",
        _day_set,
    ),
    "active_day": Table(
        _of_signals("active_day"),
        "json_build_array(a.account_id, definition)::text",
        "at_day, low, high, first_day, last_day, faded",
        _active_day,
    ),
    "account_user": Table(
        _of_accounts("account_user"),
        "json_build_array(a.account_id, thing)::text",
        "user_id, last_day, at_day, bits, rank, settling, watch,"
        # One without a rank may have been forgotten meanwhile, and have come again.
        " CASE WHEN rank IS NOT NULL THEN record::text END AS record",
        _account_user,
    ),
    "seen": Table(
        "(SELECT partition, bucket, string_agg(hashes, '') AS hashes FROM scoring.seen"
        " GROUP BY partition, bucket) t",
        "bucket::text",
        "hashes",
        _seen,
    ),
    "held": Table(
        "scoring.held t", "json_build_array(day, log_offset)::text", "t.key AS record_key, value"
    ),
    "history": Table(
        _of_accounts("history"),
        "json_build_array(a.account_id, day)::text",
        "score_tenths, band, coverage_hundredths, scorecard, revision, stale",
    ),
    "erased": Table("scoring.erased t", "json_build_array(person, time_ms)::text", "1 AS one"),
    "quarantine": Table("scoring.quarantine t", "log_offset::text", "reason"),
    "unread": Table(
        "scoring.unread t JOIN scoring.signal s USING (partition, signal_no)",
        "definition",
        "until_offset",
    ),
    "source": Table("scoring.source t", "source", "newest_ms, status, events, rejected"),
    "source_day": Table(
        _of_accounts("source_day"), "json_build_array(a.account_id, slot)::text", "day"
    ),
    "source_waiting": Table("scoring.source_waiting t", "''", "record"),
    "milestone": Table(_of_accounts("milestone"), _ACCOUNT, "since_day, reached"),
    "account_signal": Table(
        _of_accounts("account_signal"),
        "json_build_array(day, id)::text",
        "a.account_id, kind, waiting::text",
    ),
}
"""What the log alone decides."""

STANDING = {
    "health": Table(_of_accounts("health"), _ACCOUNT, "score, band, profile"),
    "success": Table(_of_accounts("success"), _ACCOUNT, "matrix_x, matrix_y, matrix_stage"),
}
"""What was published and stands. Live, how often something was, commits decide."""

PUBLISHED = {
    "health": Table(
        _of_accounts("health"), _ACCOUNT, "sequence, change_7d, change_28d, profile, record::text"
    ),
    "published": Table(
        f"{_of_accounts('published')} JOIN scoring.heading h USING (partition, heading_no)",
        _ACCOUNT,
        "sequence, as_of_ms, score_tenths, computed_tenths, coverage_hundredths, h.scorecard,"
        " h.revision, h.band, shares, time_parts, gone::text, override::text, late, news,"
        " backfilled, crossing_day, crossing_band",
    ),
    "success": Table(
        _of_accounts("success"),
        _ACCOUNT,
        "matrix_x, matrix_y, matrix_stage, matrix_action, onboarding, onboarding_code",
    ),
    "signal_record": Table(
        _of_accounts("signal_record"),
        "json_build_array(a.account_id, t.sequence)::text",
        "day, record::text",
    ),
}
"""What was published, word for word: of a history the log decides that too."""
