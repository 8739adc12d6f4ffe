"""Ticks and barriers in the log, in both clocks."""

import json
import secrets

from aiokafka import ConsumerRecord

from shared.events import TICK, Barrier, Tick
from tests.conftest import settings_for
from tests.ingest.running import NOW_MS, Log, committed, event, ids, ingesting, log
from tests.processes import until

MINUTE_MS = 60_000


class Clock:
    """A wall clock that the test moves."""

    def __init__(self, step_ms: int = 0) -> None:
        self.now = NOW_MS
        self.step_ms = step_ms

    def __call__(self) -> int:
        self.now += self.step_ms
        return self.now


def ticks(records: list[ConsumerRecord]) -> list[dict[str, object]]:
    return [json.loads(one.value) for one in records if one.key == TICK.encode()]


async def ticks_everywhere(broker: Log, count: int) -> list[dict[str, object]]:
    """The ticks, once every partition has so many; they are the same in all."""

    async def there() -> bool:
        found = [ticks(await broker.accepted(number)) for number in range(broker.partitions)]
        return all(len(one) >= count for one in found)

    await until(there, seconds=30)
    found = [ticks(await broker.accepted(number)) for number in range(broker.partitions)]
    assert all(one == found[0] for one in found)
    return found[0]


async def test_live_a_partition_ticks_at_once_and_at_whole_minutes_with_its_sources(
    kafka_address: str, database_url: str
) -> None:
    clock = Clock()
    settings = settings_for(kafka_address, database_url)
    async with log(settings) as broker, ingesting(settings, clock) as ingest:
        (first,) = await ticks_everywhere(broker, 1)
        assert first == {
            "type": "myaku.tick",
            "source_partition": 0,
            "source_partitions": 1,
            "time": "2027-01-15T08:00:30.000Z",
            "mode": "live",
            "sources": {},
            "rejected": {},
        }
        await broker.send(
            event(1, source="web", time="2027-01-15T07:00:00Z"),
            event(2, source="web", time="2027-01-15T06:00:00Z"),
            event(3, time="2027-01-15T08:00:00Z"),
            event(4, source="web", time="soon"),
            b"{",
        )
        await committed(ingest, [5])
        clock.now += MINUTE_MS + 7
        second = (await ticks_everywhere(broker, 2))[1]
        assert second["time"] == "2027-01-15T08:01:00.000Z"
        assert second["sources"] == {
            "web": "2027-01-15T07:00:00.000Z",
            "usage.events": "2027-01-15T08:00:00.000Z",
        }
        assert second["rejected"] == {"web": 1, "usage.events": 1}
        clock.now += MINUTE_MS
        assert (await ticks_everywhere(broker, 3))[2]["rejected"] == {}


async def test_after_a_restart_ticks_go_on_with_what_was_known_of_sources(
    kafka_address: str, database_url: str
) -> None:
    clock = Clock()
    settings = settings_for(kafka_address, database_url)
    newest = {"web": "2027-01-15T07:59:00.000Z", "app": "2027-01-15T05:00:00.000Z"}
    async with log(settings) as broker:
        async with ingesting(settings, clock) as ingest:
            await broker.send(
                event(1, source="web", time="2027-01-15T07:00:00Z"),
                event(2, source="app", time=newest["app"]),
            )
            await committed(ingest, [2])
            await broker.send(event(3, source="web", time=newest["web"]))
            await committed(ingest, [3])
        before = len(ticks(await broker.accepted(0)))
        async with ingesting(settings, clock):
            after = await ticks_everywhere(broker, before + 1)
    assert after[before]["sources"] == newest


async def test_while_it_is_behind_it_writes_no_live_tick(
    kafka_address: str, database_url: str
) -> None:
    settings = settings_for(kafka_address, database_url)
    count = 8_000
    pad = [secrets.token_hex(1_000) for _ in range(count)]  # so that it takes many fetches
    async with log(settings) as broker:
        await broker.send(*(event(n, properties={"pad": pad[n]}) for n in range(count)))
        async with ingesting(settings, Clock(step_ms=MINUTE_MS)) as ingest:
            await committed(ingest, [count])
            await ticks_everywhere_soon(broker)
        for partition in range(broker.partitions):
            order = ids(await broker.accepted(partition))
            events = sum(one != TICK for one in order)
            assert TICK not in order[:events]


async def ticks_everywhere_soon(broker: Log) -> None:
    async def there() -> bool:
        found = [ticks(await broker.accepted(number)) for number in range(broker.partitions)]
        return all(found)

    await until(there, seconds=30)


async def test_in_history_only_signed_ticks_count_and_stand_where_they_stood(
    kafka_address: str, database_url: str
) -> None:
    settings = settings_for(kafka_address, database_url, clock="events")
    midnight = "2020-01-02T00:00:00.000Z"
    async with log(settings, sources=2) as broker, ingesting(settings) as ingest:
        await broker.send(*(event(number) for number in range(20)), partition=1)
        await broker.send_signed(
            Tick(0, 9, "2020-01-02T00:00:00Z", "history", {"web": midnight}), partition=1
        )
        await broker.send(*(event(number) for number in range(20, 40)), partition=1)
        await broker.send_signed(Barrier("the end"), partition=1)
        await committed(ingest, [0, 42])
        for partition in range(broker.partitions):
            records = await broker.accepted(partition)
            assert ticks(records) == [
                {
                    "type": "myaku.tick",
                    "source_partition": 1,
                    "source_partitions": 2,
                    "time": midnight,
                    "mode": "history",
                    "sources": {"web": midnight},
                    "rejected": {},
                }
            ]
            order = ids(records)
            at = order.index("myaku.tick")
            assert all(int(one[2:]) < 20 for one in order[:at])
            assert all(int(one[2:]) >= 20 for one in order[at + 1 : -1])
            assert order[-1] == "myaku.barrier"
            assert json.loads(records[-1].value) == {"type": "myaku.barrier", "id": "the end"}


async def test_a_barrier_passes_a_live_deployment_too(
    tansu_address: str, database_url: str
) -> None:
    settings = settings_for(tansu_address, database_url)
    async with log(settings) as broker, ingesting(settings) as ingest:
        await broker.send(*(event(number) for number in range(20)))
        await broker.send_signed(Barrier("drained"))
        await committed(ingest, [21])
        for partition in range(broker.partitions):
            order = [one for one in ids(await broker.accepted(partition)) if one != "myaku.tick"]
            assert order[-1] == "myaku.barrier"
            assert order.count("myaku.barrier") == 1
