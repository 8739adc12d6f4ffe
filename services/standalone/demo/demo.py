"""`myaku demo`: the simulated product's history through the real thing, then its life."""

import asyncio
import os
import shutil
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from services.standalone.demo import history, product, tables
from services.standalone.demo import reading as public
from services.standalone.demo.ledger import ledger
from services.standalone.demo.reading import Reading
from services.standalone.demo.show import Show
from services.standalone.demo.traffic import Traffic
from services.standalone.drain import drain
from services.standalone.installation import Installation
from shared.data_dir import DEFAULT, DataDir
from shared.runtime import UserError, now_ms
from shared.settings import Settings

DIRECTORY = DEFAULT / "demo"
CONFIG = Path(__file__).with_name("config")
MARKER = "demo"
AT_RISK = ("critical", "at_risk")
LEDGER_SECONDS = 60


def make_directory(path: Path) -> None:
    """An empty directory for a demo; what an earlier demo left in it is removed.

    Raises UserError where the directory holds anything else, or a demo that still runs.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        left = list(path.absolute().iterdir())
        if left and not (path / MARKER).exists():
            raise UserError(
                f"{path} holds something else than a demo: name another place with --data-dir."
            )
        (path / MARKER).touch()
        data_dir = DataDir(path)
        if data_dir.is_taken():
            raise UserError(f"A demo runs in {path}: stop it first, or name another --data-dir.")
        lock = data_dir.take()
        try:
            for each in set(left) - {data_dir.lock_file, path.absolute() / MARKER}:
                shutil.rmtree(each) if each.is_dir() else each.unlink()
        finally:
            os.close(lock)  # the file stays: whoever else empties the directory waits for the same
    except OSError as error:
        raise UserError(f"{path} cannot be used: {error}.") from None


class Demo:
    """One run: the customers, and how many events of their history were sent."""

    def __init__(self, installation: Installation, console: Console) -> None:
        self._installation = installation
        self._console = console
        self._customers = product.accounts()
        self._history = 0

    async def run(self, *, once: bool) -> None:
        """The history, then, unless it is once only, live until Ctrl-C. Raises UserError."""
        await self._installation.while_watched(self._play())
        if once or not self._console.is_terminal:
            await self._installation.while_watched(self._show_history())
        if not once:
            await self._live()

    async def _play(self) -> None:
        """Replay the history up to this moment. Raises UserError."""
        path = self._installation.data_dir.path / "events.ndjson"
        until = datetime.fromtimestamp(now_ms() / 1000, UTC)
        with path.open("wb") as file:
            for line in history.ndjson(history.events(self._customers, until)):
                file.write(line)
                self._history += 1
        self._console.print(
            f"A simulated product: {len(self._customers)} customers, {self._history:,} events of"
            f" the last {product.DAYS} days.",
            highlight=False,
        )
        await _replay(path, self._installation.data_dir.path)

    async def _show_history(self) -> None:
        """Who is at risk, and which alerts that raised. Raises UserError."""
        reading = await self._read()
        weak = [account for account in reading.accounts if account["band"] in AT_RISK]
        width = self._console.width
        self._console.print(tables.at_risk(weak, width))
        self._console.print(tables.alerts(reading.still_open + reading.resolved, width))

    async def _live(self) -> None:
        """Go live, and show what happens until Ctrl-C; then hold the ledger. Raises UserError."""
        installation = self._installation
        with self._console.status("Going live …"):
            await installation.go_live()
        before = (await self._read()).counted
        traffic = Traffic(self._customers, installation.up_file)
        sending = asyncio.create_task(traffic.run())
        show = Show(installation, traffic, before)
        try:
            await installation.while_watched(_both(sending, show.run(self._console)))
        except asyncio.CancelledError:
            installation.say("Counting what was sent; Ctrl-C again stops at once …")
            await traffic.end(sending)
            await installation.while_watched(self._hold_ledger(traffic))
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _hold_ledger(self, traffic: Traffic) -> None:
        """When all that was sent has come through, put it against what was counted."""
        if not await drain(Settings.read(), self._installation.up_file, LEDGER_SECONDS):
            raise UserError(
                f"Not all could be counted within {LEDGER_SECONDS} s: {self._installation.loss}."
            )
        counted = (await self._read()).counted
        self._console.print(ledger(self._history, traffic.sent, counted))

    async def _read(self) -> Reading:
        up_file = self._installation.up_file
        async with public.client(up_file) as client:
            return await public.read(client, up_file)


async def _both(sending: "asyncio.Task[None]", showing: Coroutine[Any, Any, None]) -> None:
    """Show until the sending fails. It is not cancelled with the show: it ends by itself."""
    shown = asyncio.create_task(showing)
    try:
        await asyncio.wait({sending, shown}, return_when=asyncio.FIRST_COMPLETED)
        for task in (sending, shown):
            if task.done():
                await task
    finally:
        shown.cancel()
        await asyncio.wait({shown})


async def _replay(path: Path, data_dir: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "services.cli", "replay", str(path), "--wait"),
        *("--data-dir", str(data_dir)),
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in the terminal is the starter's business
    )
    try:
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if status:
        raise UserError("The simulated product could not be replayed.")
