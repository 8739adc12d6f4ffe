"""Scoring: when each account will enter a lower band, as its last record says."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE scoring.published ADD COLUMN crossing_day int NOT NULL DEFAULT -1,"
        " ADD COLUMN crossing_band smallint NOT NULL DEFAULT -1"
    )
