"""Digests: lines that wait for one, addresses of e-mail, and the time of the newest tick."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = """
ALTER TABLE alerts.partition ADD COLUMN tick_ms bigint;
UPDATE alerts.partition SET tick_ms = clock_ms;

ALTER TABLE alerts.notification
    ALTER COLUMN alert_id DROP NOT NULL,
    ADD COLUMN recipient text NOT NULL DEFAULT '',
    ADD COLUMN digest_id text,
    DROP CONSTRAINT notification_status_check,
    ADD CONSTRAINT notification_status_check CHECK (status IN ('recorded', 'held', 'bundled',
        'queued', 'leased', 'retry', 'sent', 'dead', 'superseded'));
DROP INDEX alerts.notification_lane;
CREATE INDEX notification_lane ON alerts.notification
    (partition, alert_id, destination, recipient, number);
CREATE INDEX notification_held ON alerts.notification (next_attempt_ms) WHERE status = 'held';
CREATE INDEX notification_digest ON alerts.notification (digest_id) WHERE digest_id IS NOT NULL
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
