"""The log's identity: whether what the broker has is what the database was made from.

The id in a partition's marker, and the number of partitions, are kept in the database beside the
offset: an offset of another log means nothing, and with another number accounts would move.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import topics
from shared.database import snapshot, transaction
from shared.events import HEALTH_CHANGES, USAGE_ACCEPTED, Marker
from shared.offsets import Schema
from shared.runtime import UserError
from shared.settings import Settings

TOPICS: dict[Schema, str] = {"scoring": USAGE_ACCEPTED, "alerts": HEALTH_CHANGES}
"""What each of them reads."""


async def recognise(
    connection: AsyncConnection, schema: Schema, partition: int, marker: Marker | None
) -> Marker:
    """The partition's marker, also where it was cut off and `myaku log adopt` has said whose it is.

    Raises UserError where it is of another log than what the database was made from.
    """
    topic = TOPICS[schema]
    if marker is None:
        raise UserError(f"{topic} has no log marker: `myaku config publish` makes it.")
    found = await connection.execute(
        text(f"SELECT partition, log_id, partitions, is_cut FROM {schema}.partition")
    )
    rows = {row.partition: row for row in found}
    for row in rows.values():
        if row.partitions and row.partitions != marker.partitions:
            raise UserError(
                f"The log has {marker.partitions} partitions, and what the database holds was made"
                f" from {row.partitions}: accounts would move. docs/operations.md says what to do."
            )
    if marker.id == topics.CUT:
        known = rows.get(partition)
        if known is None or not known.is_cut:
            raise UserError(
                f"Partition {partition} of {topic} has lost its first records, and with them the"
                " log's marker: keep them (retention.ms=-1). See `myaku log adopt`."
            )
        return Marker(known.log_id, marker.partitions)
    for row in rows.values():
        if row.log_id != marker.id:
            raise UserError(
                f"{topic} is another log ({marker.id}) than what the database was made from"
                f" ({row.log_id}): it was made anew, or is another's. See `myaku log adopt`."
            )
    return marker


async def check_log(settings: Settings, engine: AsyncEngine, schema: Schema) -> None:
    """Recognise the whole topic that a service is about to use. Raises UserError."""
    markers = await topics.read_topic(settings, TOPICS[schema])
    async with snapshot(engine) as connection:
        for place, marker in markers.items():
            if marker and marker.partitions != len(markers):
                raise other_count(place.topic, len(markers), marker.partitions)
            await recognise(connection, schema, place.partition, marker)


async def begin_anew(engine: AsyncEngine, log_id: str) -> None:
    """Every partition goes on with the first record of a new log, and keeps its state."""
    async with transaction(engine) as connection:
        for schema in TOPICS:
            await connection.execute(
                text(
                    f"UPDATE {schema}.partition SET log_id = :log_id, next = 0, is_cut = false,"
                    " epoch = epoch + 1, owner = '' WHERE log_id <> :log_id"
                ),
                {"log_id": log_id},
            )


def other_count(topic: str, count: int, made_with: int) -> UserError:
    """The sentence for a topic to which partitions were added."""
    return UserError(
        f"Topic {topic} has {count} partitions, and was made with {made_with}: accounts"
        " would move. docs/operations.md says what to do."
    )
