"""All that `myaku up` runs, while it runs: kept alive, taken live, and told of."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

import httpx2
from rich.console import Console

from services.standalone import probes, supervisor
from services.standalone.keeper import Kept, Leash
from shared.data_dir import DataDir, UpFile
from shared.runtime import UserError

READY_SECONDS = 120
POLL_SECONDS = 0.1


class Installation:
    """The embedded broker and database, the services, and where all of it is."""

    def __init__(self, data_dir: DataDir, console: Console) -> None:
        self.data_dir = data_dir
        self.console = console
        self.leash = Leash()
        self.embedded: dict[str, Kept] = {}
        self.services: list[supervisor.Service] = []
        self.said: list[str] = []
        self.up_file: UpFile

    @property
    def loss(self) -> str:
        """What becomes of events that are not counted when all ends."""
        fate = ", and are lost with the embedded broker" if "broker" in self.embedded else ""
        return f"events that were sent may not have been counted{fate}"

    async def watch(self) -> None:
        """Start again what ends, for ever. Raises UserError when the broker or database ends."""
        loop = asyncio.get_running_loop()
        while True:
            self.check_embedded()
            started = [each.revive(loop.time(), self.say) for each in self.services]
            if any(started):
                self.write_up_file()
            await asyncio.sleep(POLL_SECONDS)

    def check_embedded(self) -> None:
        """Raises UserError when the broker or database has ended."""
        for name, process in self.embedded.items():
            if process.exit_status is not None:
                raise UserError(
                    f"The embedded {name} ended ({process.last_words()}; see {process.log}):"
                    f" {self.loss}."
                )

    def start_again(self) -> bool:
        """Start at once the services that do not run. Whether there were any."""
        down = [service for service in self.services if not service.pid]
        for service in down:
            service.start(asyncio.get_running_loop().time())
        return bool(down)

    async def while_watched(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, and meanwhile start again what ends. Raises UserError as `watch` does."""
        tasks = {asyncio.create_task(work), asyncio.create_task(self.watch())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in done:
            await task

    async def go_live(self) -> None:
        """Leave history for good: the services start again with the wall clock, on the same log."""
        for service in reversed(self.services):
            await service.stop()
        os.environ["MYAKU_CLOCK"] = self.up_file.clock = "wall"
        for service in self.services:
            service.start(asyncio.get_running_loop().time())
        await self.until_ready()
        self.write_up_file()

    async def until_ready(self) -> None:
        """Wait until every service is ready. Raises UserError."""
        waiting: dict[str, dict[str, str]] = {}
        async with httpx2.AsyncClient() as client:
            for _ in range(int(READY_SECONDS / POLL_SECONDS)):
                for service in self.services:
                    if service.pid is None:
                        raise UserError(f"{service.name} does not start: {service.last_words()}")
                    address = self.up_file.operations[service.name]
                    report = await probes.ask(client, address, metrics=False)
                    waiting[service.name] = report.waiting
                if not any(waiting.values()):
                    return
                await asyncio.sleep(POLL_SECONDS)
        late = {name: why for name, why in waiting.items() if why}
        raise UserError(f"Not ready after {READY_SECONDS} seconds, waiting for {late}.")

    def say(self, line: str) -> None:
        """Tell whoever sits at the terminal."""
        self.said.append(line)
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def write_up_file(self) -> None:
        """Write up.json as things stand."""
        self.up_file.pids = {each.name: each.pid for each in self.services if each.pid}
        self.data_dir.write(self.up_file)
