"""Live: an event is scored as it comes, a restart forgets nothing, and history is left for good."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import httpx2
from aiokafka import AIOKafkaProducer

from shared.runtime import now_ms
from shared.times import iso_time
from tests.end_to_end.conftest import History
from tests.end_to_end.installation import MYAKU, Installation, run, up
from tests.processes import until


async def send(myaku: Installation, *events: dict[str, Any]) -> None:
    """As a product's backend does: on any partition, acknowledged."""
    producer = AIOKafkaProducer(bootstrap_servers=myaku.up_file["kafka"], acks="all")
    await producer.start()
    try:
        for event in events:
            await producer.send_and_wait("usage.events", json.dumps(event).encode())
    finally:
        await producer.stop()


def use(number: int, user_id: str) -> dict[str, Any]:
    """One event of an account, now."""
    return {
        "id": f"use-{number}",
        "type": "report.exported",
        "account_id": "acme",
        "user_id": user_id,
        "time": iso_time(now_ms()),
        "properties": {"feature": f"feature-{number}"},
    }


SEATS = {
    "id": "seats",
    "type": "account.updated",
    "account_id": "acme",
    "properties": {"seats": 4},
}
"""What the account pays for: of these, `login_rate_28d` says how many are used."""


async def measure(myaku: Installation, name: str) -> float | None:
    """What the account's newest health says of a measure; None without one."""
    try:
        health = await myaku.get("scoring", "/v1/accounts/acme")
    except httpx2.HTTPStatusError:
        return None
    found: list[float | None] = [d["value"] for d in health["drivers"] if d["measure"] == name]
    return found[0]


async def test_an_event_is_scored_and_a_restart_counts_it_once(
    broker_options: list[str], tmp_path: Path
) -> None:
    async with up(tmp_path / "data", *broker_options) as myaku:
        first = [use(1, "u-1"), use(2, "u-2")]
        await send(myaku, SEATS | {"time": iso_time(now_ms())}, *first, first[0])

        async def is_counted() -> bool:
            return await measure(myaku, "login_rate_28d") == 2 / 4

        await until(is_counted)
        before = await myaku.get("scoring", "/v1/accounts/acme")
        assert before["mode"] == "live"

    async with up(tmp_path / "data", *broker_options) as myaku:
        assert await myaku.get("scoring", "/v1/accounts/acme") == before
        await send(myaku, *first, use(3, "u-3"))

        async def is_counted_again() -> bool:
            return await measure(myaku, "login_rate_28d") == 3 / 4

        await until(is_counted_again)
        assert await measure(myaku, "features_90d") == 3
        duplicates = [row["duplicates"] for row in await myaku.all("scoring", "/v1/partitions")]
        assert sum(duplicates) == 3


async def test_a_replayed_history_goes_live_and_never_returns(
    history: History, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    async with up(data_dir, "--clock", "events") as myaku:
        status, printed = await run("replay", str(history.path), "--wait", data_dir=data_dir)
        assert status == 0, printed
        accounts = {row["account_id"] for row in await myaku.all("scoring", "/v1/accounts")}

    async with up(data_dir) as myaku:

        async def is_live() -> bool:
            rows = await myaku.all("scoring", "/v1/partitions")
            return all(row["mode"] == "live" for row in rows)

        await until(is_live)
        await send(myaku, use(1, "u-1"))

        async def is_scored() -> bool:
            return await measure(myaku, "features_90d") == 1

        await until(is_scored)
        now = {row["account_id"] for row in await myaku.all("scoring", "/v1/accounts")}
        assert now == accounts | {"acme"}

    command = [MYAKU, "up", "--data-dir", str(data_dir), "--ports-from", "0", "--clock", "events"]
    refused = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "live" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
