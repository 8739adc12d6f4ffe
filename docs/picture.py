"""Makes docs/demo.svg, the README's picture, from what `myaku demo` really prints.

.venv/bin/python docs/picture.py
"""

import os
import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 110
TERMINAL = {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
MYAKU = Path(sys.executable).with_name("myaku")


def main() -> None:
    """Run the demo once and draw its last screen."""
    with tempfile.TemporaryDirectory() as directory:
        shown = subprocess.run(
            [MYAKU, "demo", "--once", "--data-dir", directory],
            env=os.environ | TERMINAL,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        ).stdout
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(without_progress(shown)))
    drawn = console.export_svg(title="make demo")
    # The fonts would come from another host; whoever looks has a monospaced one.
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    drawn = drawn.replace("Fira Code, monospace", "monospace")
    Path(__file__).with_name("demo.svg").write_text(drawn)


def without_progress(shown: str) -> str:
    """The screen as it stands at the end: spinners and bars have gone."""
    kept = [line for line in shown.splitlines() if "\x1b[2K" not in line and line.strip()]
    return "\n".join(kept)


if __name__ == "__main__":
    main()
