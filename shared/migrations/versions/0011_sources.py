"""Sources: what each last sent, the accounts that it touches, and rows of stale accounts."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE TABLE scoring.source (
    partition int NOT NULL,
    source_no int NOT NULL,
    source text NOT NULL,
    newest_ms bigint,
    status text NOT NULL,
    events jsonb NOT NULL,
    rejected jsonb NOT NULL,
    PRIMARY KEY (partition, source_no)
) WITH (fillfactor = 50);

CREATE TABLE scoring.source_day (
    partition int NOT NULL,
    slot int NOT NULL,
    account_no int NOT NULL,
    day int NOT NULL,
    PRIMARY KEY (partition, slot, account_no)
) WITH (fillfactor = 70);

CREATE TABLE scoring.source_waiting (
    partition int PRIMARY KEY,
    record jsonb NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE ingest.source (
    source_partition int NOT NULL,
    source text COLLATE "C" NOT NULL,
    newest text COLLATE "C" NOT NULL,
    PRIMARY KEY (source_partition, source)
) WITH (fillfactor = 70);

ALTER TABLE scoring.history ADD COLUMN stale boolean NOT NULL DEFAULT false;
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
