"""Scoring: how many events each partition has counted, so that a ledger can be held against it."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What was counted before is not known any more: from here on it is."""
    op.execute("ALTER TABLE scoring.partition ADD COLUMN counted bigint NOT NULL DEFAULT 0")
