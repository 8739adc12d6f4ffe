"""Which configurations a deployment follows, as scoring's tables know it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import text

from shared import database
from shared.events import Config
from shared.runtime import UserError

CONFIGURATIONS = text(
    "SELECT max(p.partitions) OVER () AS partitions, c.record FROM scoring.partition p"
    " LEFT JOIN scoring.configuration c USING (partition)"
)


@dataclass(frozen=True)
class Followed:
    """Of each partition the configuration that it follows, and that which waits for a tick."""

    partitions: int
    configurations: list[Config]

    def is_in_force(self, revision: str) -> bool:
        """Whether every partition follows this revision, and nothing waits."""
        followed = [config.revision for config in self.configurations]
        return bool(followed) and followed == [revision] * self.partitions

    def refuse_other_zone(self, document: Mapping[str, Any]) -> None:
        """Raises UserError where a document would move the midnights of the deployment."""
        wanted = _zone(document)
        for kept in {_zone(config.document) for config in self.configurations} - {wanted}:
            raise UserError(
                f"product.yaml: time_zone: this deployment counts its days in {kept}, and they"
                f" cannot be counted anew in {wanted}: leave it at {kept}."
            )


async def followed(database_url: str) -> Followed:
    """What is followed at this moment. Raises DatabaseUnavailable."""
    rows = await database.ask(database_url, CONFIGURATIONS)
    records = [row.record for row in rows if row.record is not None]
    configurations = [msgspec.json.decode(record, type=Config) for record in records]
    return Followed((rows[0].partitions or 0) if rows else 0, configurations)


def _zone(document: Mapping[str, Any]) -> str:
    return str(document["product"].get("time_zone", "UTC"))
