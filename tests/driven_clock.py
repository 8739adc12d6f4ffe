"""A clock that a test moves, for all processes that have MYAKU_CLOCK_FILE."""

import os
from pathlib import Path


class DrivenClock:
    """Stands still at `now_ms` until it is moved; `file` is what the processes read."""

    def __init__(self, file: Path, now_ms: int) -> None:
        self.file = file
        self.now_ms = now_ms
        self.move_to(now_ms)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process live by this clock."""
        return {"MYAKU_CLOCK_FILE": str(self.file)}

    def move_to(self, now_ms: int) -> None:
        """It is `now_ms`: whoever reads meanwhile sees the old time or the new one, never half."""
        self.now_ms = now_ms
        new = self.file.with_suffix(".new")
        new.write_text(str(now_ms), encoding="ascii")
        os.replace(new, self.file)

    def forward(self, seconds: float) -> None:
        """It is so much later."""
        self.move_to(self.now_ms + round(seconds * 1000))
