"""Makes docs/demo.svg, the README's picture: the live screen of a `myaku demo` that really ran.

.venv/bin/python docs/picture.py [SECONDS]
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS, LINES = 116, 34
LIVE_SECONDS = 150
"""How long it is watched, so that alerts have come."""
TERMINAL = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
MYAKU = Path(sys.executable).with_name("myaku")
LIVE = b"\x1b[?1049h"
FRAME = b"\x1b[H"


def main() -> None:
    """Run the demo in a terminal of its own, watch it live for a while, and draw its last frame."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else LIVE_SECONDS
    frame = last_frame(watch(seconds))
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(frame), no_wrap=True, crop=True)
    drawn = console.export_svg(title="make demo")
    # The fonts would come from another host; whoever looks has a monospaced one.
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    drawn = drawn.replace("Fira Code, monospace", "monospace")
    Path(__file__).with_name("demo.svg").write_text(drawn)


def watch(seconds: float) -> bytes:
    """All that the demo wrote to its terminal until it had been live for so long."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    written = b""
    live_since = None
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(
            [MYAKU, "demo", "--data-dir", ".myaku/demo"],
            cwd=directory,
            env=os.environ | TERMINAL,
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.DEVNULL,
        )
        try:
            while live_since is None or time.monotonic() < live_since + seconds:
                if process.poll() is not None:
                    sys.exit("The demo ended before its picture was taken.")
                if select.select([ours], [], [], 1)[0]:
                    written += os.read(ours, 65536)
                if live_since is None and LIVE in written:
                    live_since = time.monotonic()
        finally:
            process.send_signal(signal.SIGINT)
            while process.poll() is None:
                if select.select([ours], [], [], 1)[0]:
                    os.read(ours, 65536)
    return written


def last_frame(written: bytes) -> str:
    """The last whole screen: each begins at the upper left corner."""
    return written.split(FRAME)[-2].decode().replace("\r", "")


if __name__ == "__main__":
    main()
