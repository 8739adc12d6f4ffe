"""Partitions that have lost their first records, and are known by what the database says."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for schema in ("scoring", "alerts"):
        op.execute(
            f"ALTER TABLE {schema}.partition ADD COLUMN is_cut boolean NOT NULL DEFAULT false"
        )
