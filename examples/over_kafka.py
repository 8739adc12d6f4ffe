"""Sends two events of one account to the Kafka that `make up` has started.

.venv/bin/python examples/over_kafka.py [DATA_DIR]
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaProducer

KAFKA = json.loads(Path(*sys.argv[1:] or [".myaku"], "up.json").read_text())["kafka"]
NOW = datetime.now(UTC).isoformat(timespec="milliseconds")
EVENTS = (
    {
        "id": f"profile {NOW}",
        "type": "account.updated",
        "account_id": "acme",
        "time": NOW,
        "properties": {"name": "Acme", "size": "S", "seats": 3, "csm": "ana@example.com"},
    },
    {
        "id": f"export {NOW}",
        "type": "report.exported",
        "account_id": "acme",
        "user_id": "u-17",
        "time": NOW,
        "properties": {"feature": "export"},
    },
)


async def main() -> None:
    """Any Kafka client will do; acks="all" means that the broker has the event."""
    producer = AIOKafkaProducer(bootstrap_servers=KAFKA, acks="all")
    await producer.start()
    for event in EVENTS:
        await producer.send_and_wait("usage.events", json.dumps(event).encode(), key=b"acme")
    await producer.stop()


asyncio.run(main())
