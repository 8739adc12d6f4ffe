"""Every metric of the house, declared once, with its meaning."""

from prometheus_client import Counter, Gauge, Histogram, Info

BUILD = Info("myaku_build", "Which release runs.")
READY = Gauge("myaku_ready", "1 while the service waits for nothing: what /readyz says.")
LOOP_DELAY = Histogram(
    "myaku_event_loop_delay_seconds",
    "How late the event loop woke up, once a second.",
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
HTTP_SECONDS = Histogram(
    "myaku_http_request_duration_seconds",
    "Seconds from a request's headers to the end of the answer, by route and status.",
    ["method", "route", "status"],
)

CLOCK = Gauge(
    "myaku_clock_timestamp_seconds",
    "The partition's clock: in ingest the newest tick written of the source partition.",
    ["partition"],
)
CLOCK_BEHIND = Gauge(
    "myaku_clock_behind_seconds",
    "How far the partition's clock is behind the wall; not while it follows replayed events.",
    ["partition"],
)
SOURCE_TICK = Gauge(
    "myaku_source_tick_timestamp_seconds",
    "The newest live tick of a source partition that scoring has handled.",
    ["source_partition"],
)
SOURCE_STALE = Gauge(
    "myaku_source_stale",
    "1 while a source is silent that should not be, and what was scored from it is held.",
    ["source"],
)
SOURCE_SILENT = Gauge(
    "myaku_source_silent_seconds",
    "How long before the clock the newest event of the source was.",
    ["source"],
)
LAG = Gauge("myaku_lag_records", "Records in the log not yet handled.", ["partition"])
NEWEST_EVENT = Gauge(
    "myaku_newest_event_timestamp_seconds",
    "The time of the newest event handled; the future does not count.",
    ["partition"],
)
EVENT_SECONDS = Histogram(
    "myaku_event_to_score_seconds",
    "From the receipt of a commit's oldest event by ingest until its score can be read.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)

RECORDS = Counter("myaku_records_total", "Records handled, by kind.", ["kind"])
COLLECTED = Counter("myaku_http_events_total", "Events that came over HTTP.", ["outcome"])
REJECTED = Counter("myaku_rejected_total", "Events refused, by reason.", ["reason"])
PARKED = Counter("myaku_parked_total", "Events that wait for their user's account.")
DUPLICATES = Counter("myaku_duplicates_total", "Events dropped as already counted.")
TOO_OLD = Counter("myaku_too_old_total", "Events older than the horizon: only their facts count.")
FIELDS_LEFT_OUT = Counter(
    "myaku_fields_left_out_total", "Profile fields, milestones and problems beyond the bounds."
)
QUARANTINED = Counter(
    "myaku_quarantined_total", "Records put aside: undecodable or misplaced; and corrupt batches."
)
TICKS = Counter("myaku_ticks_total", "Ticks written, by source partition.", ["source_partition"])

COMMITS = Counter("myaku_commits_total", "Transactions committed, one partition's batch each.")
COMMIT_SECONDS = Histogram(
    "myaku_commit_seconds",
    "Seconds of one transaction.",
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)
FENCED = Counter("myaku_fenced_total", "Commits refused because another worker owns the partition.")
RELOADS = Counter("myaku_reloads_total", "Times a partition was loaded.", ["cause"])
REUSES = Counter(
    "myaku_reuses_total", "Of these, times the state in memory still stood after a rebalance."
)
FAILED = Counter(
    "myaku_failed_batches_total",
    "Batches that failed, by whether the database turned out to have them when it was asked.",
    ["outcome"],
)
PUBLISHED = Counter("myaku_health_published_total", "Health records published.")
RELAY = Gauge(
    "myaku_relay_waiting_records",
    "Records that a commit left for its topics and that the broker does not have yet.",
    ["partition"],
)

ALERTS = Counter("myaku_alerts_total", "What happened to alerts.", ["change"])
DELIVERIES = Counter("myaku_deliveries_total", "Attempts to deliver.", ["destination", "outcome"])
DEAD = Counter("myaku_notifications_dead_total", "Notifications given up.", ["destination"])
OUTBOX = Gauge("myaku_notifications_waiting", "Notifications not yet delivered.")
OUTBOX_AGE = Gauge(
    "myaku_notifications_oldest_seconds",
    "How long the oldest notification that may be sent now has waited; 0 without one.",
)
UNDELIVERABLE = Gauge(
    "myaku_destination_undeliverable",
    "1 while nothing can be sent there until somebody mends it.",
    ["destination"],
)
