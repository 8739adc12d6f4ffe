"""Scoring: the state of each partition, what it published, and the fence."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE SCHEMA scoring;

CREATE TABLE scoring.partition (
    partition int PRIMARY KEY,
    log_id text NOT NULL,
    epoch bigint NOT NULL,
    next bigint NOT NULL,
    owner text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    hash_seed bigint NOT NULL DEFAULT floor(random() * 9e18)::bigint,
    clock jsonb NOT NULL DEFAULT '{}',
    relayed_log_id text NOT NULL DEFAULT '',
    duplicates bigint NOT NULL DEFAULT 0,
    too_old bigint NOT NULL DEFAULT 0,
    partitions int
) WITH (fillfactor = 50);

CREATE TABLE scoring.configuration (
    partition int NOT NULL,
    place text NOT NULL CHECK (place IN ('active', 'next')),
    record bytea NOT NULL,
    PRIMARY KEY (partition, place)
);

CREATE TABLE scoring.signal (
    partition int NOT NULL,
    signal_no int NOT NULL,
    definition text NOT NULL,
    since_day int NOT NULL,
    PRIMARY KEY (partition, signal_no)
);

CREATE TABLE scoring.account (
    partition int NOT NULL,
    account_no int NOT NULL,
    account_id text NOT NULL,
    created_day int NOT NULL,
    late boolean NOT NULL,
    PRIMARY KEY (partition, account_no)
) WITH (fillfactor = 70);

CREATE TABLE scoring.fact (
    partition int NOT NULL,
    account_no int NOT NULL,
    name text NOT NULL,
    time_ms bigint NOT NULL,
    event_id text NOT NULL,
    value json NOT NULL,
    PRIMARY KEY (partition, account_no, name)
) WITH (fillfactor = 70);

CREATE TABLE scoring.day_sum (
    partition int NOT NULL,
    day int NOT NULL,
    signal_no int NOT NULL,
    account_no int NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (partition, day, signal_no, account_no)
) WITH (fillfactor = 70);

CREATE TABLE scoring.day_set (
    partition int NOT NULL,
    signal_no int NOT NULL,
    account_no int NOT NULL,
    thing bigint NOT NULL,
    at_day int NOT NULL,
    low bigint NOT NULL,
    high bigint NOT NULL,
    PRIMARY KEY (partition, signal_no, account_no, thing)
) WITH (fillfactor = 70);

CREATE TABLE scoring.last_day (
    partition int NOT NULL,
    signal_no int NOT NULL,
    account_no int NOT NULL,
    day int NOT NULL,
    PRIMARY KEY (partition, signal_no, account_no)
) WITH (fillfactor = 70);

CREATE TABLE scoring.seen (
    partition int NOT NULL,
    bucket int NOT NULL,
    chunk bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (partition, bucket, chunk)
);
ALTER TABLE scoring.seen ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE scoring.held (
    partition int NOT NULL,
    day int NOT NULL,
    number bigint NOT NULL,
    key bytea,
    value bytea NOT NULL,
    PRIMARY KEY (partition, day, number)
);

CREATE TABLE scoring.health (
    partition int NOT NULL,
    account_no int NOT NULL,
    account_id text NOT NULL,
    sequence bigint NOT NULL,
    score double precision,
    band text,
    change_7d double precision,
    change_28d double precision,
    profile jsonb NOT NULL,
    record json NOT NULL,
    time_parts jsonb NOT NULL,
    PRIMARY KEY (partition, account_no)
) WITH (fillfactor = 70);
CREATE INDEX health_account ON scoring.health (account_id);

CREATE TABLE scoring.history (
    partition int NOT NULL,
    account_no int NOT NULL,
    day int NOT NULL,
    score_tenths smallint,
    band text,
    coverage_hundredths smallint NOT NULL,
    scorecard text NOT NULL,
    revision text NOT NULL,
    PRIMARY KEY (partition, account_no, day)
);

CREATE TABLE scoring.outbox (
    partition int NOT NULL,
    number bigint NOT NULL,
    records bytea NOT NULL,
    PRIMARY KEY (partition, number)
);

CREATE TABLE scoring.quarantine (
    partition int NOT NULL,
    log_id text NOT NULL,
    log_offset bigint NOT NULL,
    reason text NOT NULL,
    value bytea,
    PRIMARY KEY (partition, log_id, log_offset)
);
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
