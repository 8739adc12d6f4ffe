"""Scoring: the utilisation matrix, onboarding and signals."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE TABLE scoring.success (
    partition int NOT NULL,
    account_no int NOT NULL,
    matrix_x smallint,
    matrix_y smallint,
    matrix_stage text,
    matrix_action text,
    onboarding text,
    onboarding_code bigint NOT NULL,
    PRIMARY KEY (partition, account_no)
) WITH (fillfactor = 70);

CREATE TABLE scoring.milestone (
    partition int NOT NULL,
    account_no int NOT NULL,
    since_day int NOT NULL,
    reached jsonb NOT NULL,
    PRIMARY KEY (partition, account_no)
);

CREATE TABLE scoring.account_signal (
    partition int NOT NULL,
    day int NOT NULL,
    id text NOT NULL,
    account_no int NOT NULL,
    kind text NOT NULL,
    waiting json,
    PRIMARY KEY (partition, day, id)
);

CREATE TABLE scoring.signal_record (
    partition int NOT NULL,
    account_no int NOT NULL,
    sequence bigint NOT NULL,
    day int NOT NULL,
    record json NOT NULL,
    PRIMARY KEY (partition, account_no, sequence)
);
"""


def upgrade() -> None:
    """What was published before has neither: accounts get it with their next record."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
