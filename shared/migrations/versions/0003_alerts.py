"""Alerts: how each account stands with each rule, what is to be sent, and the fence."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE SCHEMA alerts;

CREATE TABLE alerts.partition (
    partition int PRIMARY KEY,
    log_id text NOT NULL,
    epoch bigint NOT NULL,
    next bigint NOT NULL,
    owner text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    partitions int NOT NULL DEFAULT 0,
    clock_ms bigint,
    live boolean NOT NULL DEFAULT false,
    configuration bytea,
    repeated bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE alerts.account (
    partition int NOT NULL,
    account_id text NOT NULL,
    sequence bigint NOT NULL,
    health bytea NOT NULL,
    PRIMARY KEY (partition, account_id)
) WITH (fillfactor = 70);

CREATE TABLE alerts.standing (
    partition int NOT NULL,
    account_id text NOT NULL,
    rule text NOT NULL,
    subject text NOT NULL,
    episode int NOT NULL,
    due_ms bigint,
    record jsonb NOT NULL,
    PRIMARY KEY (partition, account_id, rule, subject)
) WITH (fillfactor = 70);
CREATE INDEX standing_due ON alerts.standing (partition, due_ms) WHERE due_ms IS NOT NULL;

CREATE TABLE alerts.alert (
    partition int NOT NULL,
    id text NOT NULL,
    account_id text NOT NULL,
    rule text NOT NULL,
    subject text NOT NULL,
    episode int NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'firing', 'recovering', 'resolved')),
    severity text,
    owner text NOT NULL,
    began_ms bigint NOT NULL,
    record jsonb NOT NULL,
    PRIMARY KEY (partition, id)
);
CREATE INDEX alert_id ON alerts.alert (id);
CREATE INDEX alert_newest ON alerts.alert (began_ms DESC, id);
CREATE INDEX alert_standing ON alerts.alert (partition, account_id, rule, subject, episode);
CREATE UNIQUE INDEX alert_one_open ON alerts.alert (partition, account_id, rule, subject)
    WHERE state IN ('pending', 'firing', 'recovering');

CREATE TABLE alerts.event (
    partition int NOT NULL,
    alert_id text NOT NULL,
    number int NOT NULL,
    record jsonb NOT NULL,
    PRIMARY KEY (partition, alert_id, number)
);

CREATE TABLE alerts.notification (
    partition int NOT NULL,
    id text NOT NULL,
    alert_id text NOT NULL,
    number int NOT NULL,
    destination text NOT NULL,
    kind text NOT NULL,
    at_ms bigint NOT NULL,
    body bytea NOT NULL,
    status text NOT NULL CHECK (status IN
        ('recorded', 'queued', 'leased', 'retry', 'sent', 'dead', 'superseded')),
    next_attempt_ms bigint NOT NULL DEFAULT 0,
    lease_until_ms bigint,
    lease_token text,
    tries int NOT NULL DEFAULT 0,
    attempts int NOT NULL DEFAULT 0,
    maybe_duplicate boolean NOT NULL DEFAULT false,
    error text,
    sent_ms bigint,
    PRIMARY KEY (partition, id)
) WITH (fillfactor = 80);
CREATE INDEX notification_waiting ON alerts.notification (destination, next_attempt_ms)
    WHERE status IN ('queued', 'retry', 'leased');
CREATE INDEX notification_lane ON alerts.notification (partition, alert_id, destination, number);
CREATE INDEX notification_newest ON alerts.notification (at_ms DESC, id);

CREATE TABLE alerts.delivery_attempt (
    partition int NOT NULL,
    notification_id text NOT NULL,
    number int NOT NULL,
    at_ms bigint NOT NULL,
    outcome text NOT NULL,
    http_status int,
    latency_ms bigint NOT NULL,
    error text NOT NULL,
    retry_after_seconds bigint,
    PRIMARY KEY (partition, notification_id, number)
);

CREATE TABLE alerts.destination (
    name text PRIMARY KEY,
    wait_until_ms bigint NOT NULL DEFAULT 0,
    gone_url text
);

CREATE TABLE alerts.barrier (
    partition int NOT NULL,
    id text NOT NULL,
    log_id text NOT NULL,
    PRIMARY KEY (partition, id)
);

CREATE TABLE alerts.quarantine (
    partition int NOT NULL,
    log_id text NOT NULL,
    log_offset bigint NOT NULL,
    reason text NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (partition, log_id, log_offset)
)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
