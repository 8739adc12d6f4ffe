"""What must hold all the time: no lock and no transaction for long, no process that grows."""

from collections import defaultdict
from typing import Any

import asyncpg

from tests.chaos.fleet import Fleet
from tests.chaos.servers import Postgres
from tests.processes import passes

LOOK_SECONDS = 1.0
TRANSACTION_SECONDS_MAX = 30
MEMORY_MIB_MAX = 300
DESCRIPTORS_MORE_MAX = 40
OPEN = (
    "SELECT application_name, state, extract(epoch FROM clock_timestamp() - xact_start)::float AS"
    " seconds, query FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name LIKE 'myaku%' AND xact_start IS NOT NULL"
)


class Watch:
    """Looks once a second."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres
        self.longest_seconds = 0.0
        self.too_long: list[Any] = []
        self.descriptors: dict[str, int] = defaultdict(int)
        self.too_large: list[str] = []
        self.memory_mib = 0.0

    async def run(self) -> None:
        """Look for ever; while the database is away there is nothing to see."""
        while True:
            await passes(LOOK_SECONDS)
            try:
                connection = await asyncpg.connect(self.postgres.url, timeout=5)
                rows = await connection.fetch(OPEN)
                await connection.close()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                continue
            for row in rows:
                self.longest_seconds = max(self.longest_seconds, row["seconds"])
                if row["seconds"] > TRANSACTION_SECONDS_MAX:
                    self.too_long.append(tuple(row))

    def note_sizes(self, fleet: Fleet) -> None:
        """What each service has open when all is calm."""
        for member in fleet.members:
            most = max(self.descriptors[member.service], member.descriptors())
            self.descriptors[member.service] = most

    def hold_sizes(self, fleet: Fleet) -> None:
        """All is calm again: nobody may have more open, or hold much more memory."""
        for member in fleet.members:
            memory_mib, descriptors = member.memory_mib(), member.descriptors()
            self.memory_mib = max(self.memory_mib, memory_mib)
            if memory_mib > MEMORY_MIB_MAX:
                self.too_large.append(f"{member.name} holds {memory_mib:.0f} MiB")
            if descriptors > self.descriptors[member.service] + DESCRIPTORS_MORE_MAX:
                self.too_large.append(f"{member.name} has {descriptors} descriptors")
