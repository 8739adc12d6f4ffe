"""Every command in the README, as it stands there, in a directory like a fresh clone."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.runtime import UserError, listen
from tests.end_to_end import small_history
from tests.processes import eventually

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
FOREGROUND = re.compile(r"^(make up|\.venv/bin/myaku up\b.*)$")
"""Blocks that run until Ctrl-C."""

PORTS = (8081, 8082, 8083, 9101, 9102, 9103)
START_SECONDS, STOP_SECONDS, BLOCK_SECONDS = 90, 60, 300


class Newcomer:
    """Someone who types what the README says, block by block, in one shell."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("MYAKU_") and "MAKE" not in name  # `make test` runs us
        }
        self.running: subprocess.Popen[bytes] | None = None

    def types(self, block: str) -> str:
        """Run a block to its end, and keep what it exported; what it printed."""
        kept = self.directory / "environment"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{block}\nenv -0 > {kept}"],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            timeout=BLOCK_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout.decode()}{done.stderr.decode()}"
        pairs = kept.read_text().rstrip("\0").split("\0")
        self.environment = dict(pair.split("=", 1) for pair in pairs)
        return done.stdout.decode()

    async def starts(self, command: str) -> None:
        """Start what runs until Ctrl-C, and wait until it is ready."""
        await self.stops()
        log = self.directory / "up.log"
        with log.open("wb") as output:
            self.running = subprocess.Popen(  # noqa: ASYNC220, it returns at once
                ["bash", "-c", f"exec {command}"],
                cwd=self.directory,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        ended = self.running.poll
        await eventually(
            lambda: b"Ready; Ctrl-C stops." in log.read_bytes() or ended() is not None,
            START_SECONDS,
        )
        assert ended() is None, log.read_text()

    async def stops(self) -> None:
        """Ctrl-C, if anything runs."""
        if self.running:
            os.killpg(self.running.pid, signal.SIGINT)
            self.running.wait(STOP_SECONDS)
            self.running = None


@contextmanager
def newcomer(directory: Path) -> Iterator[Newcomer]:
    """In a directory that has all that a clone has, by links, and the environment made."""
    for path in ROOT.iterdir():
        if path.name not in (".git", ".venv", ".myaku"):
            (directory / path.name).symlink_to(path)
    (directory / ".venv").symlink_to(sys.prefix)
    small_history.write(directory / "events.ndjson.gz")
    someone = Newcomer(directory)
    try:
        yield someone
    finally:
        if someone.running:
            os.killpg(someone.running.pid, signal.SIGKILL)
            someone.running.wait()


def accepted(count: int) -> Callable[[str], bool]:
    return lambda printed: json.loads(printed)["accepted"] == count


SAYS: dict[str, Callable[[str], bool]] = {
    "curl -s http://127.0.0.1:8081/v1/events": accepted(1),
    "python3 examples/over_http.py": lambda printed: '"reason": "missing_time"' in printed,
    "v1/accounts/acme": lambda printed: json.loads(printed)["account_id"] == "acme",
    "config publish": lambda printed: "sha256:" in printed,
    "config preview": lambda printed: "accounts" in printed,
    "myaku backfill": lambda printed: "the kept log" in printed,
    "replay events": lambda printed: "accepted" in printed,
}
"""What is seen after a block that holds these words."""


async def test_every_command_does_what_it_says(tmp_path: Path) -> None:
    for port in PORTS:
        try:
            listen(port).close()
        except UserError as taken:
            pytest.skip(f"the README's own ports are used: {taken}")
    seen = set()
    with newcomer(tmp_path) as someone:
        for block in BLOCKS:
            if "make demo" in block:
                planned = someone.types(block.replace("make ", "make --dry-run "))
                assert planned.startswith(".venv/bin/myaku demo\n")
                assert ".venv/bin/pytest " in planned
            elif FOREGROUND.match(block.strip()):
                await someone.starts(block.strip())
            else:
                printed = someone.types(block)
                for words, is_right in SAYS.items():
                    if words in block:
                        seen.add(words)
                        assert is_right(printed), f"{block}\n{printed}"
        await someone.stops()
    assert seen == set(SAYS)
