"""Signals for which the kept log is to be read, and what it says until that is taken in."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

STATEMENTS = """
ALTER TABLE scoring.partition ADD COLUMN first_log_id text;

ALTER TABLE scoring.published ADD COLUMN backfilled boolean NOT NULL;

CREATE TABLE scoring.unread (
    partition int NOT NULL,
    signal_no int NOT NULL,
    log_id text NOT NULL,
    until_offset bigint NOT NULL,
    PRIMARY KEY (partition, signal_no)
);

CREATE TABLE scoring.learned (
    partition int NOT NULL,
    backfill text NOT NULL,
    signal_no int NOT NULL,
    number int NOT NULL,
    piece bytea NOT NULL,
    PRIMARY KEY (partition, backfill, signal_no, number)
)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
