"""Users of accounts: on which days each did what, and the rank that it gives."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE TABLE scoring.account_user (
    partition int NOT NULL,
    account_no int NOT NULL,
    thing bigint NOT NULL,
    user_id text,
    last_day int NOT NULL,
    at_day int NOT NULL,
    bits bytea NOT NULL,
    rank smallint,
    settling smallint,
    record json,
    PRIMARY KEY (partition, account_no, thing)
) WITH (fillfactor = 70);
CREATE INDEX account_user_id ON scoring.account_user (user_id);
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
