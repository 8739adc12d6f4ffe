"""Lists of accounts by id, and of one CSM's, have an index; those by score have none."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

STATEMENTS = """
ALTER TABLE scoring.health ALTER COLUMN account_id TYPE text COLLATE "C";
CREATE INDEX health_csm ON scoring.health ((profile->>'csm'));
"""


def upgrade() -> None:
    """The first lets the index of ids, which is there, serve lists too: they sort by bytes."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
