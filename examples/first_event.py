"""Sends two events of one account to the Kafka that `make up` has started.

.venv/bin/python examples/first_event.py
"""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaProducer

UP = json.loads(Path(".myaku/up.json").read_text())


async def main() -> None:
    """Any Kafka client will do; acks="all" means that the broker has the event."""
    producer = AIOKafkaProducer(bootstrap_servers=UP["kafka"], acks="all")
    await producer.start()
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    profile = {"name": "Acme", "size": "S", "seats": 3, "csm": "ana@example.com"}
    for event in (
        {
            "id": f"profile {now}",
            "type": "account.updated",
            "account_id": "acme",
            "time": now,
            "properties": profile,
        },
        {
            "id": f"export {now}",
            "type": "report.exported",
            "account_id": "acme",
            "user_id": "u-17",
            "time": now,
            "properties": {"feature": "export"},
        },
    ):
        await producer.send_and_wait("usage.events", json.dumps(event).encode(), key=b"acme")
    await producer.stop()


asyncio.run(main())
