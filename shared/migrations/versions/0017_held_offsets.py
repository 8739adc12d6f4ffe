"""Where a record that waits for its day stands in the log."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE scoring.held ADD COLUMN log_offset bigint NOT NULL DEFAULT 0")
