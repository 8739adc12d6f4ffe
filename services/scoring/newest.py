"""What a new log starts with: the newest records, and what tells a signal of the last days."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.scoring.engine.state import State
from services.scoring.rows import Outgoing
from services.scoring.tables import published, success, users
from services.scoring.tables.partition import Reader
from shared.events import CONFIG, ENGAGEMENT_CHANGES, HEALTH_CHANGES


async def load_newest(connection: AsyncConnection, state: State) -> Outgoing:
    """What a new log starts with: the configuration, and every newest record.

    Before an account's come its older ones that told a signal in the last days, as they were.
    """
    reader = Reader(connection, state.partition)
    records = [(CONFIG.encode(), state.active_config)] if state.active_config else []
    return {
        ENGAGEMENT_CHANGES: await users.newest_records(reader),
        HEALTH_CHANGES: [
            *records,
            *await success.told_before(reader, state.day),
            *await published.newest_records(reader),
        ],
    }
