"""Watching processes from outside, with a deadline."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path


async def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Return as soon as the condition holds; fail when it does not come to."""
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{condition} did not come true in {seconds} s")


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """The same for a condition that has to be asked for."""
    for _ in range(int(seconds / 0.05)):
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{condition} did not come true in {seconds} s")


def is_alive(pid: int) -> bool:
    """Whether the process still runs; one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False
    return True


def first_line(path: Path) -> str:
    """The first whole line of a file that is being written; empty until there is one."""
    line, end, _ = path.read_text().partition("\n") if path.exists() else ("", "", "")
    return line if end else ""


def start_python(program: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """A Python process that runs the program."""
    return subprocess.Popen([sys.executable, "-c", program, *arguments])


def mode(path: Path) -> int:
    """The permission bits of a file or directory."""
    return path.stat().st_mode & 0o777


async def passes(seconds: float) -> None:
    """Let time pass, where that is what a test is about: never to wait for something."""
    await asyncio.sleep(seconds)
