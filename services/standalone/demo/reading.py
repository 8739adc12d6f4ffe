"""What the public APIs say of a running installation, at one moment."""

from dataclasses import dataclass
from typing import Any

import httpx2

from shared.data_dir import UpFile
from shared.runtime import UserError

PAGE = 500


@dataclass(frozen=True)
class Reading:
    """Accounts, alerts that are open and that are over, and where the partitions stand."""

    accounts: list[Any]
    still_open: list[Any]
    resolved: list[Any]
    partitions: list[Any]

    @property
    def clock(self) -> str:
        """The clock of the slowest partition, RFC 3339; empty where one has none."""
        clocks = [one["clock"] or "" for one in self.partitions]
        return min(clocks, default="")

    @property
    def counted(self) -> int:
        """How many events scoring has counted."""
        return sum(one["counted"] for one in self.partitions)


def client(up_file: UpFile) -> httpx2.AsyncClient:
    """A client that shows its token."""
    return httpx2.AsyncClient(headers=up_file.headers)


async def read(asking: httpx2.AsyncClient, up_file: UpFile) -> Reading:
    """Ask scoring and alerts. Raises UserError where one does not answer."""
    alerts = f"{up_file.alerts}/v1/alerts"
    still_open = await _list(asking, alerts, {})
    resolved = await _list(asking, alerts, {"state": "resolved"})
    return Reading(
        accounts=await _list(asking, f"{up_file.scoring}/v1/accounts", {}),
        still_open=sorted(still_open, key=lambda one: str(one["opened_at"]), reverse=True),
        resolved=sorted(resolved, key=lambda one: str(one["resolved_at"]), reverse=True),
        partitions=await _list(asking, f"{up_file.scoring}/v1/partitions", None),
    )


async def _list(asking: httpx2.AsyncClient, url: str, query: dict[str, str] | None) -> list[Any]:
    try:
        limit = {} if query is None else query | {"limit": str(PAGE)}
        answer = await asking.get(url, params=limit)
        answer.raise_for_status()
        data: list[Any] = answer.json()["data"]
    except (httpx2.HTTPError, ValueError) as error:
        raise UserError(f"{url} does not answer: {error}.") from None
    return data
