"""The processes of a deployment: several of each service, started again when they end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from services.standalone.keeper import Leash
from services.standalone.ports import free_port
from tests.processes import passes, until

READY_SECONDS = 90
LOOK_SECONDS = 0.5
COUNTED = ("myaku_fenced_total", "myaku_reloads_total", "myaku_unknown_outcomes_total")


@dataclass
class Member:
    """One process, over all its lives."""

    service: str
    number: int
    log: Path
    environment: dict[str, str]
    fd: int
    api: int = field(default_factory=free_port)
    operations: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None
    held: bool = False
    """A fault has it in hand: it is not started again by itself."""

    @property
    def name(self) -> str:
        """As it stands in what is printed."""
        return f"{self.service}-{self.number}"

    def start(self, fail_at: str | None = None) -> None:
        """Start it; `fail_at` is where it is to end or stand still."""
        service = self.service.upper()
        own = {
            f"MYAKU_{service}_PORT": str(self.api),
            f"MYAKU_{service}_OPERATIONS_PORT": str(self.operations),
            **({"MYAKU_FAIL_AT": fail_at} if fail_at else {}),
        }
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"services.{self.service}"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | self.environment | own,
                pass_fds=[self.fd],
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, where it runs."""
        if self.runs and self.process:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    @property
    def runs(self) -> bool:
        """Whether there is a process, be it stopped."""
        return self.process is not None and self.process.poll() is None

    @property
    def stands_still(self) -> bool:
        """Whether it was stopped by SIGSTOP."""
        if not self.runs or not self.process:
            return False
        try:
            status = Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return False
        return status.rpartition(")")[2].split()[0] == "T"

    def memory_mib(self) -> float:
        """What it holds resident."""
        assert self.process
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        assert self.process
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def said(self) -> list[dict[str, object]]:
        """The lines of its log that are events."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


class Fleet:
    """All processes, watched: who ends is started again a second later."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members
        self.client = httpx2.AsyncClient(timeout=2)
        self.gone: list[Member] = []
        self.ended: Counter[str] = Counter()
        self.counted: dict[tuple[int, str], float] = {}
        """By process and metric with its labels: the greatest value that was seen."""

    def of(self, service: str) -> list[Member]:
        """The processes of a service."""
        return [member for member in self.members if member.service == service]

    async def watch(self) -> None:
        """Start again who ended, and read everybody's counters, for ever."""
        while True:
            for member in self.members:
                if member.process and not member.runs and not member.held:
                    self.ended[f"{member.service}, {member.process.returncode}"] += 1
                    member.start()
            await asyncio.gather(
                *(self._scrape(member) for member in self.members if not member.held)
            )
            await passes(LOOK_SECONDS)

    async def _scrape(self, member: Member) -> None:
        process = member.process
        try:
            page = await self.client.get(f"http://127.0.0.1:{member.operations}/metrics")
        except httpx2.HTTPError:
            return
        for family in text_string_to_metric_families(page.text):
            for sample in family.samples:
                if sample.name in COUNTED and process:
                    name = " ".join([sample.name, *sorted(sample.labels.values())])
                    self.counted[process.pid, name] = sample.value

    def totals(self) -> Counter[str]:
        """What all processes counted, those included that are gone."""
        found: Counter[str] = Counter()
        for (_, name), value in self.counted.items():
            found[name] += int(value)
        return found

    async def until_ready(self) -> None:
        """Wait until all of them say that they wait for nothing."""

        async def are_ready() -> bool:
            return all(await asyncio.gather(*map(self._is_ready, self.members)))

        async with asyncio.timeout(READY_SECONDS):
            await until(are_ready, READY_SECONDS)

    async def _is_ready(self, member: Member) -> bool:
        try:
            answer = await self.client.get(f"http://127.0.0.1:{member.operations}/readyz")
        except httpx2.HTTPError:
            return False
        return answer.status_code == httpx2.codes.OK

    async def stop(self) -> None:
        """End all, whatever state they are in."""
        for member in self.members:
            member.kill()
        await self.client.aclose()


def members(
    sizes: dict[str, int], directory: Path, environments: dict[str, dict[str, str]], leash: Leash
) -> list[Member]:
    """So many processes of each service, not yet started; `environments` are by service."""
    return [
        Member(
            service=service,
            number=number,
            log=directory / f"{service}-{number}.log",
            environment={**environments[service], "MYAKU_PARENT_FD": str(leash.read_fd)},
            fd=leash.read_fd,
        )
        for service, size in sizes.items()
        for number in range(size)
    ]
