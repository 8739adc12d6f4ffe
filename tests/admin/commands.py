"""Running a command as a person would, in a process of its own."""

import asyncio
import os
import sys
from typing import NamedTuple


class Said(NamedTuple):
    """What a command ended with."""

    status: int
    output: str
    error: str


async def myaku(*arguments: str, **environment: str) -> Said:
    """Run `myaku` with the arguments; only the variables given here are set for it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MYAKU_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli",
        *arguments,
        env=kept | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, error = await process.communicate()
    return Said(process.returncode or 0, output.decode(), error.decode())
