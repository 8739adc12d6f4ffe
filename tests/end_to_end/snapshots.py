"""Everything that a deployment knows, without what may differ: partitions, offsets, row numbers."""

from dataclasses import dataclass
from typing import Any

from tests.end_to_end.installation import Installation

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Snapshot:
    """What people can see: health, its history, alerts and what was said of them."""

    health: Rows
    history: Rows
    alerts: Rows
    events: Rows
    notifications: Rows


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
    )
