"""A batch of `usage.events` that nobody can read is told of, and everything around it counts."""

from prometheus_client import REGISTRY

from shared.events import USAGE_EVENTS
from tests.conftest import settings_for
from tests.ingest.running import committed, event, ids, ingesting, log
from tests.shared import spoiled

MARKER = next(iter(spoiled.CHANGES))
OTHERS = 9  # partitions: one in hand when another cannot be read must lose nothing


def quarantined() -> float:
    return REGISTRY.get_sample_value("myaku_quarantined_total") or 0


async def test_a_batch_that_cannot_be_read_is_refused_and_the_partitions_go_on(
    spoiling_broker: spoiled.Broker, database_url: str
) -> None:
    settings = settings_for(spoiling_broker.address, database_url, clock="events")
    before = quarantined()
    async with log(settings, partitions=1, sources=1 + OTHERS) as broker:
        batches = [[event(0), event(1)], [event(2), MARKER, event(3)], [event(4)]]
        await spoiled.send(spoiling_broker.address, *batches)
        for number in range(5, 5 + OTHERS):
            await broker.send(event(number), partition=1 + number % OTHERS)
        spoiling_broker.spoil(USAGE_EVENTS)
        async with ingesting(settings) as ingest:
            await committed(ingest, [6, *[1] * OTHERS])
            (refused,) = await broker.rejected()
            accepted = ids(await broker.accepted(0))
    headers = {name: value.decode() for name, value in refused.headers}
    assert (headers["reason"], headers["source_partition"]) == ("corrupt_batch", "0")
    assert headers["source_offset"] == "4"
    assert "offsets 2 to 4" in headers["detail"]
    assert refused.value is None
    expected = {f"e-{number}" for number in range(5 + OTHERS)} - {"e-2", "e-3"}
    assert set(accepted) == expected
    assert quarantined() - before == 1
