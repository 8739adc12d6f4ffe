"""Scoring: what was last published as numbers, and what is noted for the next publication."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE TABLE scoring.heading (
    partition int NOT NULL,
    heading_no int NOT NULL,
    scorecard text NOT NULL,
    revision text NOT NULL,
    band text,
    PRIMARY KEY (partition, heading_no)
);

CREATE TABLE scoring.published (
    partition int NOT NULL,
    account_no int NOT NULL,
    sequence bigint NOT NULL,
    as_of_ms bigint NOT NULL,
    score_tenths smallint NOT NULL,
    computed_tenths smallint NOT NULL,
    coverage_hundredths smallint NOT NULL,
    heading_no int NOT NULL,
    shares bytea NOT NULL,
    time_parts bytea NOT NULL,
    gone json,
    override json,
    late boolean NOT NULL,
    news boolean NOT NULL,
    PRIMARY KEY (partition, account_no)
) WITH (fillfactor = 70);

ALTER TABLE scoring.health DROP COLUMN time_parts;
ALTER TABLE scoring.account DROP COLUMN late;
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
