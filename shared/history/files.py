"""The files that a command is given."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from shared.runtime import UserError

STANDARD_INPUT = Path("-")


def refuse_missing(files: Sequence[Path]) -> None:
    """Raises UserError for the first file that is not there."""
    for path in files:
        if path != STANDARD_INPUT and not path.exists():
            raise UserError(f"{path} does not exist.")


@contextmanager
def on_disk(files: Sequence[Path], scratch: Path) -> Iterator[list[Path]]:
    """The files' paths; what comes on standard input is copied first, since it is read twice."""
    if STANDARD_INPUT not in files:
        yield list(files)
        return
    with NamedTemporaryFile(dir=scratch, prefix="standard-input-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield [Path(copy.name) if path == STANDARD_INPUT else path for path in files]
