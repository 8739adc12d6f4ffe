"""Access: the write keys of sources, and the tokens with which the APIs are used."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE SCHEMA access;

CREATE TABLE access.key (
    id text COLLATE "C" PRIMARY KEY,
    access text NOT NULL CHECK (access IN ('write', 'read', 'act', 'admin')),
    source text,
    name text NOT NULL,
    hash bytea NOT NULL,
    created_ms bigint NOT NULL,
    revoked_ms bigint,
    derived boolean NOT NULL DEFAULT false,
    CHECK ((access = 'write') = (source IS NOT NULL))
);
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
