"""Starts services as processes, starts again those that end, and stops them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from services.standalone.keeper import Leash, last_line

PAUSE_SECONDS_MIN = 1.0
PAUSE_SECONDS_MAX = 30.0
STEADY_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.1


def next_pause_seconds(previous: float, alive_seconds: float) -> float:
    """How long to wait before a service that ended is started again.

    `previous` is the last such pause, 0 before the first. Whoever lived for a while starts anew.
    """
    if alive_seconds >= STEADY_SECONDS:
        return PAUSE_SECONDS_MIN
    return min(max(previous * 2, PAUSE_SECONDS_MIN), PAUSE_SECONDS_MAX)


class Service:
    """One service as a child process, over all its lives."""

    def __init__(self, name: str, command: list[str], leash: Leash, log: Path) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._leash = leash
        self._pause_seconds = 0.0
        self._start_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, now: float) -> None:
        """Start it; `now` is in seconds of any steady clock."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | {"MYAKU_PARENT_FD": str(self._leash.read_fd)},
                pass_fds=[self._leash.read_fd],
                start_new_session=True,  # Ctrl-C in the terminal is the starter's business
            )
        self._start_at = now

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process else None

    @property
    def exit_status(self) -> int | None:
        """Of its last life; None while it runs."""
        return self._process.poll() if self._process else None

    def last_words(self) -> str:
        """The last line in its log, where that is a sentence."""
        line = last_line(self.log)
        return f"see {self.log}" if not line or line.startswith("{") else line

    def revive(self, now: float, say: Callable[[str], None]) -> bool:
        """Start it again when it has ended and its pause is over. Whether it was started."""
        if self._process is not None:
            if self._process.poll() is None:
                return False
            self._pause_seconds = next_pause_seconds(self._pause_seconds, now - self._start_at)
            self._start_at = now + self._pause_seconds
            say(
                f"{self.name} ended ({describe(self._process.returncode)});"
                f" it is started again in {self._pause_seconds:.0f} s: {self.last_words()}"
            )
            self._process = None
        if now < self._start_at:
            return False
        self.start(now)
        return True

    async def stop(self) -> None:
        """Ask it to end, and see to it that it does. When this is cancelled it is killed."""
        if self._process is None:
            return
        try:
            self._process.terminate()
            for _ in range(int(STOP_SECONDS / POLL_SECONDS)):
                if self._process.poll() is not None:
                    return
                await asyncio.sleep(POLL_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()


def describe(status: int) -> str:
    """An exit status in words."""
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def service(name: str, leash: Leash, log: Path) -> Service:
    """The service that `python -m services.NAME` runs."""
    return Service(name, [sys.executable, "-P", "-m", f"services.{name}"], leash, log)
