"""What people do to accounts and users: records in the log; they take effect where they stand."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.scoring.queries import select_place
from shared import kafka
from shared.barriers import signed
from shared.database import snapshot
from shared.events import USAGE_ACCEPTED, USAGE_EVENTS, Erasure, encode
from shared.problems import RETRY_AFTER, Problem
from shared.runtime import log
from shared.times import iso_time

SOURCE = "myaku"
"""Whose events they are: ours."""

DAY_MS = 86_400_000
LASTS_DAYS = 90
"""An override without an end ends after so many days."""

LASTS_DAYS_MAX = 366
SEND_SECONDS_MAX = 8

Body = dict[str, Any]


@dataclass(frozen=True)
class Acts:
    """Writes acts into the log. What is written twice is one act: the newest decides."""

    database: AsyncEngine
    producer: AIOKafkaProducer
    secret_key: str
    now_ms: Callable[[], int]

    async def override(
        self, account_id: str, author: str, score: float, reason: str, expires_ms: int | None
    ) -> Body:
        """Let an account's score be this one until it expires. Raises Problem.

        Returns the override as it will stand in the health record.
        """
        partition, at_ms = await self._place(account_id)
        ends_ms = at_ms + LASTS_DAYS * DAY_MS if expires_ms is None else expires_ms
        if ends_ms <= at_ms:
            raise Problem(422, "expired", f"expires_at is not after {iso_time(at_ms)}.")
        if ends_ms > max(at_ms, self.now_ms()) + LASTS_DAYS_MAX * DAY_MS:
            message = f"expires_at is more than {LASTS_DAYS_MAX} days ahead: override again later."
            raise Problem(422, "too_long", message)
        override = {"score": int(score * 10 + 0.5) / 10, "author": author, "reason": reason}
        override["expires_at"] = iso_time(ends_ms)
        await self._write(partition, account_id, at_ms, "account.overridden", override)
        return override

    async def end_override(self, account_id: str, author: str) -> None:
        """Let the computed score count again. Raises Problem."""
        partition, at_ms = await self._place(account_id)
        ended = {"score": None, "author": author}
        await self._write(partition, account_id, at_ms, "account.overridden", ended)

    async def close(self, account_id: str, author: str, reason: str) -> None:
        """Let the account leave lists and figures; its history stays. Raises Problem."""
        partition, at_ms = await self._place(account_id)
        closed = {"reason": reason, "author": author}
        await self._write(partition, account_id, at_ms, "account.closed", closed)

    async def reopen(self, account_id: str) -> None:
        """Let the account come back. Raises Problem."""
        partition, at_ms = await self._place(account_id)
        await self._write(partition, account_id, at_ms, "account.updated", {"closed": False})

    async def _place(self, account_id: str) -> tuple[int, int]:
        """The account's partition, and the time there: until it is live, that of its clock."""
        async with snapshot(self.database) as connection:
            place = await select_place(connection, account_id)
        if place is None:
            raise unknown_account(account_id)
        partition, clock_ms = place
        return partition, self.now_ms() if clock_ms is None else clock_ms

    async def _write(
        self, partition: int, account_id: str, at_ms: int, kind: str, properties: Body
    ) -> None:
        now_ms = self.now_ms()
        event = {
            # Of two acts at one time on a history's clock, the later one has the greater id.
            "id": f"{now_ms:013d}-{secrets.token_hex(8)}",
            "type": kind,
            "account_id": account_id,
            "time": iso_time(at_ms),
            "source": SOURCE,
            "properties": properties,
            "received_at": iso_time(now_ms),
        }
        record: kafka.Record = (account_id.encode(), encode(event), [])
        async with _acknowledged(kind):
            await kafka.send_in_order(self.producer, USAGE_ACCEPTED, partition, [record])

    async def erase(self, user_id: str) -> str:
        """Let nothing name a user any more that is dated up to now, which is returned.

        Ingest passes it on to every partition of `usage.accepted`. Raises Problem.
        """
        erasure = Erasure(user_id, iso_time(self.now_ms()))
        record = signed(erasure, self.secret_key)
        async with _acknowledged("user.erased"):
            # Each worker of ingest hears of it where it stands, and keeps nothing after it.
            for partition in range(await kafka.partitions_of(self.producer, USAGE_EVENTS)):
                await kafka.send_in_order(self.producer, USAGE_EVENTS, partition, [record])
        return erasure.time


@asynccontextmanager
async def _acknowledged(kind: str) -> AsyncIterator[None]:
    """Of what is sent inside the broker has everything at the end. Raises Problem 503."""
    try:
        async with asyncio.timeout(SEND_SECONDS_MAX):
            yield
    except (KafkaError, TimeoutError) as error:
        log.warning("act not taken", kind=kind, why=str(error) or repr(error))
        message = "The broker cannot be reached: do it again later."
        raise Problem(503, "unavailable", message, RETRY_AFTER) from error


def unknown_account(account_id: str) -> Problem:
    """There is no such account."""
    message = f"No event of account {account_id!r} was accepted yet."
    return Problem(404, "unknown_account", message)
