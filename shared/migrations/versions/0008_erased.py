"""Erased people, as ingest knows them: keyed hashes, and up to when they are not to be known."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE TABLE ingest.erased (
    person bytea PRIMARY KEY,
    time text COLLATE "C" NOT NULL
)
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
