"""A consumer that gets nothing: it ends the process only while the broker answers."""

from dataclasses import dataclass, field

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from shared import stuck
from shared.stuck import Stuck, Watchdog

PLACE = TopicPartition("usage.events", 0)


@dataclass
class Consumer:
    """What the watchdog asks of a consumer."""

    answer_ms: int | None = 1
    topics_there: set[str] = field(default_factory=lambda: {"usage.events"})
    broker_away: bool = False

    def last_poll_timestamp(self, _: TopicPartition) -> int | None:
        return self.answer_ms

    async def topics(self) -> set[str]:
        if self.broker_away:
            raise KafkaConnectionError
        return self.topics_there


@dataclass
class Time:
    """The event loop's clock, driven."""

    seconds: float = 1000.0


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(stuck, "_now", lambda: made.seconds)
    return made


async def test_no_answer_to_fetches_while_the_broker_is_there_is_stuck(time: Time) -> None:
    watchdog = Watchdog(Consumer(), "usage.events")
    watchdog.assigned()
    await watchdog.check([PLACE])
    time.seconds += 90
    await watchdog.check([PLACE])
    time.seconds += 1
    with pytest.raises(Stuck, match=r"nothing came of usage\.events.* start again\."):
        await watchdog.check([PLACE])


async def test_answers_without_records_are_answers(time: Time) -> None:
    watchdog = Watchdog(consumer := Consumer(), "usage.events")
    watchdog.assigned()
    for answer_ms in range(10):
        consumer.answer_ms = answer_ms
        time.seconds += 60
        await watchdog.check([PLACE])


async def test_a_group_that_never_gives_partitions_is_stuck(time: Time) -> None:
    watchdog = Watchdog(Consumer(), "usage.events")
    watchdog.assigned()
    time.seconds += 1000
    await watchdog.check([])  # a member without partitions, which is well
    watchdog.revoked()
    time.seconds += 91
    with pytest.raises(Stuck):
        await watchdog.check([])


async def test_a_broker_that_is_away_is_waited_for(time: Time) -> None:
    watchdog = Watchdog(consumer := Consumer(broker_away=True), "usage.events")
    for _ in range(5):
        time.seconds += 91
        await watchdog.check([PLACE])
    consumer.broker_away = False
    time.seconds += 89
    await watchdog.check([PLACE])
    time.seconds += 2
    with pytest.raises(Stuck):
        await watchdog.check([PLACE])


async def test_a_place_that_is_not_fetched_is_not_waited_for(time: Time) -> None:
    watchdog = Watchdog(Consumer(), "usage.events")
    watchdog.assigned()
    await watchdog.check([PLACE])
    time.seconds += 60
    await watchdog.check([])
    time.seconds += 60
    await watchdog.check([PLACE])


async def test_what_the_broker_fails_without_a_pause_is_stuck_while_it_answers_others(
    time: Time,
) -> None:
    watchdog = Watchdog(consumer := Consumer(), "usage.events")
    watchdog.assigned()
    since = time.seconds
    time.seconds += 90
    await watchdog.check([], [since])
    time.seconds += 1
    consumer.broker_away = True
    await watchdog.check([], [since])
    consumer.broker_away = False
    time.seconds += 90
    await watchdog.check([], [since])
    time.seconds += 1
    with pytest.raises(Stuck):
        await watchdog.check([], [since])
