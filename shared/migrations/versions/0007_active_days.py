"""Days on which accounts were active, instead of the last of them."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = """
DROP TABLE scoring.last_day;

CREATE TABLE scoring.active_day (
    partition int NOT NULL,
    signal_no int NOT NULL,
    account_no int NOT NULL,
    at_day int NOT NULL,
    low bigint NOT NULL,
    high bigint NOT NULL,
    first_day int NOT NULL,
    last_day int NOT NULL,
    faded double precision NOT NULL,
    PRIMARY KEY (partition, signal_no, account_no)
) WITH (fillfactor = 70)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
