"""Every metric of the house, declared once, with its meaning."""

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("myaku_records_total", "Records handled, by service and kind.", ["kind"])
REJECTED = Counter("myaku_rejected_total", "Events refused, by reason.", ["reason"])
PARKED = Counter("myaku_parked_total", "Events that wait for their user's account.")
DUPLICATES = Counter("myaku_duplicates_total", "Events dropped as already counted.")
TOO_OLD = Counter("myaku_too_old_total", "Events older than the horizon: only their facts count.")
QUARANTINED = Counter("myaku_quarantined_total", "Records put aside: undecodable or misplaced.")
PUBLISHED = Counter("myaku_health_published_total", "Health records published.")
COMMITS = Counter("myaku_commits_total", "Transactions committed, one partition's batch each.")
FENCED = Counter("myaku_fenced_total", "Commits refused because another worker owns the partition.")
RELOADS = Counter("myaku_reloads_total", "Times a partition's state was loaded.", ["cause"])
COMMIT_SECONDS = Histogram(
    "myaku_commit_seconds",
    "Seconds of one transaction.",
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)
LAG = Gauge("myaku_lag_records", "Records in the log not yet handled.", ["partition"])
CLOCK = Gauge("myaku_clock_seconds", "The partition's clock, Unix time.", ["partition"])
TICKS = Counter("myaku_ticks_total", "Ticks written, by source partition.", ["source_partition"])
ALERTS = Counter("myaku_alerts_total", "What happened to alerts.", ["change"])
DELIVERIES = Counter("myaku_deliveries_total", "Attempts to deliver.", ["destination", "outcome"])
OUTBOX = Gauge("myaku_notifications_waiting", "Notifications not yet delivered.")
