"""What moved in the last minutes, and which alerts came, from what the APIs gave. Pure.

A score is the sum of its contributions, so the way between two records is the sum of the
contributions' ways, whatever lies between them.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]

LEAST_POINTS = 1.0
"""A smaller move is no news."""


@dataclass(frozen=True)
class Move:
    """An account whose score moved, and the measure or rule that did most of it."""

    account: Record
    before: float
    after: float
    band_before: str
    measure: str
    value: float | None
    reason: str | None
    """The words of a rule or an override; None for a measure."""
    is_gone: bool
    """The rule or override was there before, and is no more."""
    cause: str

    @property
    def points(self) -> float:
        """How far it moved."""
        return self.after - self.before


class Moves:
    """The records of the last so many milliseconds, and for each account the one before them."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._seen: dict[str, deque[tuple[int, Record]]] = {}

    def note(self, at_ms: int, accounts: Iterable[Record]) -> None:
        """Take in what the API says now."""
        for record in accounts:
            seen = self._seen.setdefault(record["account_id"], deque())
            if not seen or seen[-1][1]["sequence"] != record["sequence"]:
                seen.append((at_ms, record))
            while len(seen) > 1 and seen[1][0] <= at_ms - self._window_ms:
                seen.popleft()

    def recent(self) -> list[Move]:
        """What moved, the farthest first."""
        found = [move for seen in self._seen.values() if (move := _move(seen))]
        return sorted(found, key=lambda move: -abs(move.points))


def _move(seen: deque[tuple[int, Record]]) -> Move | None:
    before, after = seen[0][1], seen[-1][1]
    if before["score"] is None or after["score"] is None:
        return None
    points = after["score"] - before["score"]
    if abs(points) < LEAST_POINTS:
        return None
    then, now = ({one["measure"]: one for one in record["drivers"]} for record in (before, after))
    sign = 1 if points > 0 else -1
    top = max(
        [*now, *(name for name in then if name not in now)],
        key=lambda name: sign * (_points(now, name) - _points(then, name)),
    )
    own, last = now.get(top, {}), then.get(top, {})
    reason, last_reason = own.get("reason"), last.get("reason")
    return Move(
        account=after,
        before=before["score"],
        after=after["score"],
        band_before=before["band"],
        measure=top,
        value=own.get("value"),
        reason=last_reason if reason is None else reason,
        is_gone=reason is None and last_reason is not None,
        cause=_cause(seen, top),
    )


def _points(drivers: Mapping[str, Record], name: str) -> float:
    return float(drivers[name]["contribution"]) if name in drivers else 0.0


def _cause(seen: deque[tuple[int, Record]], measure: str) -> str:
    """What moved the measure last; of a record that was not seen, what moved all that was."""
    moved = [
        (one["measure"], str(one["cause"]))
        for _, record in list(seen)[1:]
        for one in record["drivers"]
        if one["change"]
    ]
    own = [cause for name, cause in moved if name == measure]
    causes = {cause for _, cause in moved}
    return own[-1] if own else causes.pop() if len(causes) == 1 else ""


class Arrivals:
    """Alerts as they come: when each was first seen in its state, after the first look."""

    def __init__(self) -> None:
        self._came: dict[tuple[str, ...], int] | None = None

    def note(self, at_ms: int, alerts: Iterable[Record]) -> list[Record]:
        """Take in what the API says now; what is new in it, the newest last."""
        is_first = self._came is None
        came = {} if self._came is None else self._came
        fresh = [alert for alert in alerts if _stand(alert) not in came]
        came |= {_stand(alert): 0 if is_first else at_ms for alert in fresh}
        self._came = came
        return [] if is_first else fresh[::-1]

    def at_ms(self, alert: Record) -> int:
        """When it was first seen as it stands; 0 if that was at the first look."""
        return (self._came or {}).get(_stand(alert), 0)


def _stand(alert: Record) -> tuple[str, ...]:
    is_over = "over" if alert["state"] == "resolved" else "open"
    return alert["id"], is_over, str(alert["severity"]), str(alert["opened_at"])
