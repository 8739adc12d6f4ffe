"""A history through the whole product: counted once, explained, alerted, the same always."""

import asyncio
import json
import os
import random
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import (
    ENVIRONMENT,
    History,
    Run,
    configuration,
    delivered,
    end_leases,
    options,
)
from tests.end_to_end.installation import Installation, start, up
from tests.end_to_end.receiver import receiving
from tests.end_to_end.snapshots import Rows, Snapshot, snapshot
from tests.processes import until
from tests.scoring.dates import by_the_oracle, ten_days
from tests.scoring.histories import Record

KILLS = int(os.environ.get("MYAKU_TEST_KILLS", "3"))
"""More kills, and those of every number of partitions on Apache Kafka too."""

FIRES = ("alert.opened", "alert.reopened", "alert.raised")


def test_every_line_is_accepted_or_refused_with_its_reason(
    undisturbed: Run, history: History
) -> None:
    counted = sum(partition["duplicates"] for partition in undisturbed.partitions)
    assert counted >= history.counts["duplicates"]
    for reason, count in history.counts.items():
        assert f"{reason}" in undisturbed.printed or count == 0, undisturbed.printed


def test_every_account_has_a_health_that_adds_up(undisturbed: Run) -> None:
    assert len(undisturbed.accounts) == len(undisturbed.before.health)
    for health in undisturbed.accounts:
        contributions = sum(driver["contribution"] for driver in health["drivers"])
        changes = sum(driver["change"] for driver in health["drivers"])
        assert abs(contributions - (health["score"] or 0)) < 0.005
        if health["previous"] and health["score"] is not None:
            fall = health["score"] - (health["previous"]["score"] or 0)
            assert abs(changes - fall) < 0.005


def test_every_alert_that_fired_was_delivered_once_and_verified(undisturbed: Run) -> None:
    wanted = {row[0] for row in undisturbed.before.notifications}
    assert wanted, "a history with accounts that fade raises alerts"
    assert set(undisturbed.messages) == wanted
    assert Counter(undisturbed.requests) == Counter(wanted)


def test_a_message_says_the_score_the_drop_the_reasons_the_renewal_and_the_money(
    undisturbed: Run,
) -> None:
    fired = [each for each in undisturbed.messages.values() if each["type"] in FIRES]
    assert fired
    for message in fired:
        change, alert = message["data"]["change"], message["data"]
        assert change["score"] < 50
        assert change["points"] < 0
        assert alert["reasons"]
        assert all(reason["text"] in change["text"] for reason in alert["reasons"])
        assert {"renews_on", "mrr"} <= change["account"].keys()
        assert alert["owner"]


def test_a_second_replay_changes_nothing_and_notifies_nobody(undisturbed: Run) -> None:
    assert _but_what_came(undisturbed.again) == _but_what_came(undisturbed.before)
    assert undisturbed.requests_again == 0


def _but_what_came(seen: Snapshot) -> Snapshot:
    """Without the traces that every event leaves, also one that is too old to count."""
    rest = {name: rows for name, rows in seen.rest.items() if name not in ("counters", "known ids")}
    return replace(seen, rest=rest)


@pytest.mark.parametrize("partitions", [4, 1, 12])
async def test_services_killed_anywhere_and_any_number_of_partitions_change_nothing(
    partitions: int,
    broker_options: list[str],
    undisturbed: Run,
    history: History,
    tmp_path: Path,
) -> None:
    if broker_options and partitions != 4 and "MYAKU_TEST_KILLS" not in os.environ:
        pytest.skip("with MYAKU_TEST_KILLS: the rebalances of 4 partitions are those of 1 and 12")
    async with receiving() as receiver:
        given = options(configuration(tmp_path / "config", receiver.url)) + broker_options
        given += ["--partitions", str(partitions)]
        async with up(tmp_path / "data", *given, environment=ENVIRONMENT) as myaku:
            replay = await start("replay", str(history.path), "--wait", data_dir=myaku.data_dir)
            for service, share in kills(partitions):
                await until(lambda share=share: is_past(myaku, share, undisturbed), 600)  # type: ignore[misc]
                await myaku.kill(service)
                if service == "alerts":
                    await end_leases(myaku)
            printed, _ = await asyncio.wait_for(replay.communicate(), 1_200)
            assert replay.returncode == 0, printed.decode()
            await delivered(myaku)
            left = await snapshot(myaku)
            assert not left.differs_from(undisturbed.before), left.differs_from(undisturbed.before)
    assert receiver.messages == undisturbed.messages


def kills(seed: int) -> list[tuple[str, float]]:
    """Which service is killed, when so much of the history is there: each once at least."""
    dice = random.Random(seed)
    services = ["scoring", "alerts", "ingest"]
    services += dice.choices(services, k=KILLS - len(services))
    dice.shuffle(services)
    return list(zip(services, sorted(dice.uniform(0.01, 0.95) for _ in services), strict=True))


async def is_past(myaku: Installation, share: float, undisturbed: Run) -> bool:
    """Whether so much of the history's rows are there already."""
    count = (await myaku.rows("SELECT count(*) FROM scoring.history"))[0][0]
    return bool(count >= share * len(undisturbed.before.history))


def test_scores_on_ten_dates_are_the_oracles(undisturbed: Run) -> None:
    events = first_ones(undisturbed.accepted)
    days = ten_days(events)
    rows = by_day(undisturbed.before.history, days)
    assert rows == by_the_oracle(events, days)
    assert {account for account, _ in rows} == {event[0].decode() for event in events}


def first_ones(records: list[Record]) -> list[Record]:
    """The events among the records, each once, by their time."""
    events = [
        (json.loads(value), (key, value)) for key, value in records if not key.startswith(b"myaku.")
    ]
    once = {(event["source"], event["id"]): (event["time"], pair) for event, pair in events}
    return [pair for _, pair in sorted(once.values(), key=lambda each: each[0])]


def by_day(history: Rows, days: list[int]) -> dict[tuple[str, int], Any]:
    """Each account's row on each of the days, from a row where it differs from the day before."""
    found = {}
    for account, day, *health in history:
        found.update({(account, date): tuple(health) for date in days if date >= day})
    return found


def test_history_is_a_row_for_every_day_of_an_accounts_life(undisturbed: Run) -> None:
    (last,) = {date.fromisoformat(partition["clock"][:10]) for partition in undisturbed.partitions}
    born = {
        json.loads(value)["account_id"]: json.loads(value)["time"][:10]
        for _, value in reversed(first_ones(undisturbed.accepted))
    }
    assert undisturbed.lives.keys() == born.keys()
    for account, days in undisturbed.lives.items():
        dates = [date.fromisoformat(day) for day in days]
        first = date.fromisoformat(born[account])
        assert dates == [first + timedelta(days=at) for at in range((last - first).days)]
