"""Scoring: key users, whose silence is told."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Who has a rank already is a key user from the next close on."""
    op.execute("ALTER TABLE scoring.account_user ADD COLUMN watch int NOT NULL DEFAULT 0")
