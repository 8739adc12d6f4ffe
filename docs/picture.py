"""Makes docs/demo.svg, the README's picture, from what `myaku demo` really prints.

    .venv/bin/python docs/picture.py
"""

import os
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 110
MYAKU = Path(sys.executable).with_name("myaku")


def main() -> None:
    """Run the demo once and draw its last screen."""
    with tempfile.TemporaryDirectory() as directory:
        shown = subprocess.run(
            [MYAKU, "demo", "--once", "--data-dir", directory],
            env=os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(shown))
    console.save_svg(str(Path(__file__).with_name("demo.svg")), title="make demo")


if __name__ == "__main__":
    main()
