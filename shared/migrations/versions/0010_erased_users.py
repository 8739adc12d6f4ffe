"""Erased people, as scoring knows them: keyed hashes, and up to when they are not to be named."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
CREATE TABLE scoring.erased (
    partition int NOT NULL,
    person bigint NOT NULL,
    time_ms bigint NOT NULL,
    PRIMARY KEY (partition, person, time_ms)
)
"""
    )
