"""Ingest: who belongs to which account, and the events that wait for that to be known."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE SCHEMA ingest;

CREATE TABLE ingest.membership (
    user_id text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    joined boolean NOT NULL,
    time text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, account_id)
);

CREATE TABLE ingest.parked (
    source_partition int NOT NULL,
    log_offset bigint NOT NULL,
    source text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    received_ms bigint NOT NULL,
    since_ms bigint,
    key bytea,
    value bytea NOT NULL,
    PRIMARY KEY (source_partition, log_offset, source, event_id)
);
CREATE INDEX parked_user ON ingest.parked (source_partition, user_id);
CREATE INDEX parked_since ON ingest.parked (source_partition, since_ms);
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
