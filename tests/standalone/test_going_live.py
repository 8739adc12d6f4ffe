"""A history that ended weeks ago goes live: the days between are closed one by one, as history."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.runtime import now_ms
from tests.end_to_end.installation import Installation, run, up
from tests.processes import until

HISTORY_DAYS = 40
SILENT_DAYS = 50
ACCOUNTS = ("acme", "beta")


def events(today: datetime) -> Iterator[dict[str, Any]]:
    """Two accounts: their profiles, a use on each day, and then nothing."""
    for day in range(HISTORY_DAYS):
        at = today - timedelta(days=SILENT_DAYS + HISTORY_DAYS - day)
        for account in ACCOUNTS:
            profile = {"size": "S", "seats": 2, "name": account, "csm": "ana@example.com"}
            yield {
                "id": f"{account}-{day}",
                "type": "report.exported" if day else "account.updated",
                "account_id": account,
                **({"user_id": "u-1"} if day else {}),
                "time": at.isoformat(timespec="milliseconds"),
                "properties": {"feature": f"feature-{day % 3}"} if day else profile,
            }


def days_between(first: date, last: date) -> list[str]:
    """Both included."""
    return [
        (first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)
    ]


async def going_live(myaku: Installation) -> date:
    """Wait until all partitions are live; the day on which they are."""

    async def is_live() -> bool:
        rows = await myaku.all("scoring", "/v1/partitions")
        return all(row["mode"] == "live" for row in rows)

    await until(is_live)
    return min(
        datetime.fromisoformat(row["clock"]).date()
        for row in await myaku.all("scoring", "/v1/partitions")
    )


async def digests(myaku: Installation) -> list[dict[str, Any]]:
    """All digests, as soon as nothing waits to be told."""

    async def told() -> list[dict[str, Any]]:
        notes = await myaku.all("alerts", "/v1/notifications")
        waits = [note for note in notes if note["status"] not in ("recorded", "sent")]
        return [] if waits else [note for note in notes if note["kind"] == "digest"]

    async def is_told() -> bool:
        return bool(await told())

    await until(is_told)
    return await told()


async def test_each_day_has_its_row_and_what_crosses_is_recorded_on_its_day(
    tmp_path: Path,
) -> None:
    now = datetime.fromtimestamp(now_ms() / 1000, UTC)
    history, data_dir = tmp_path / "events.ndjson", tmp_path / "data"
    history.write_text("".join(json.dumps(event) + "\n" for event in events(now)))
    first = (now - timedelta(days=SILENT_DAYS + HISTORY_DAYS)).date()
    end = first + timedelta(days=HISTORY_DAYS - 1)

    async with up(data_dir, "--clock", "events") as myaku:
        status, printed = await run("replay", str(history), "--wait", data_dir=data_dir)
        assert status == 0, printed
        rows = await myaku.all("scoring", "/v1/accounts/acme/history")
        assert [row["day"] for row in rows] == days_between(first, end - timedelta(days=1))
        assert await myaku.all("alerts", "/v1/alerts") == [], "they are well, as far as is known"

    async with up(data_dir) as myaku:
        today = await going_live(myaku)

        async def both_are_at_risk() -> bool:
            return len(await myaku.all("alerts", "/v1/alerts")) == len(ACCOUNTS)

        await until(both_are_at_risk)
        for account in ACCOUNTS:
            rows = await myaku.all("scoring", f"/v1/accounts/{account}/history")
            assert [row["day"] for row in rows] == days_between(first, today - timedelta(days=1))
            silent = [row["score"] for row in rows if row["day"] > end.isoformat()]
            assert silent == sorted(silent, reverse=True), "each day's silence lets it fall"
            assert len(set(silent)) > 5
            crossed = next(row["day"] for row in rows if row["score"] and row["score"] < 50)
            (alert,) = await myaku.all("alerts", "/v1/alerts", account_id=account)
            opened = date.fromisoformat(alert["opened_at"][:10])
            # The close of a day is at the midnight that ends it, and the rule waits for a day.
            assert opened == date.fromisoformat(crossed) + timedelta(days=2)
            notes = await myaku.all("alerts", "/v1/notifications", alert_id=alert["id"])
            assert {note["status"] for note in notes} > {"recorded"}

        (digest,) = await digests(myaku)
        listed = [alert["account_id"] for alert in digest["body"]["data"]["alerts"]]
        assert sorted(listed) == sorted(ACCOUNTS), "both, and in one message"
