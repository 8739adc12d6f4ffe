"""Publishing a configuration into every partition of the log, which is made if it is missing."""

import secrets
from typing import Any

from aiokafka.errors import KafkaError

from shared import database, topics
from shared.command_settings import CommandSettings
from shared.in_force import Followed, followed
from shared.runtime import UserError


async def publish(settings: CommandSettings, document: dict[str, Any], *, partitions: int) -> str:
    """Publish a checked document; what came of it, in words. Raises UserError."""
    before, remark = await _before(settings)
    before.refuse_other_zone(document)
    fresh_id = secrets.token_hex(8)
    try:
        log_id = await topics.create_log(
            settings, partitions=partitions, log_id=fresh_id, source_partitions=partitions
        )
        revision = await topics.publish_configuration(settings, document)
    except (KafkaError, TimeoutError) as error:
        raise UserError(
            f"The Kafka broker at {settings.kafka} did not take all of it ({error}):"
            " publish it again, which does no harm."
        ) from error
    if before.is_in_force(revision):
        return f"Nothing changed: {revision} is in force already."
    made = f"Made a new log at {settings.kafka}. " if log_id == fresh_id else ""
    return f"{made}Published {revision}: it is in force from the next tick on.{remark}"


async def _before(settings: CommandSettings) -> tuple[Followed, str]:
    """What is followed before, and a remark where the database does not say."""
    try:
        return await followed(settings.database_url.get_secret_value()), ""
    except database.DatabaseUnavailable as error:
        return Followed(0, []), f" (What was in force before is not known. {error})"
