"""Keeps one child process, and ends it when whoever asked for it is gone.

Run as a program of its own, from the standard library alone. Its standard input is a pipe whose
write end only the starter holds: when the starter dies, even by SIGKILL, the pipe ends, and the
keeper stops its child. Where Linux offers it, the child also ends with the keeper.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1
KILL_AFTER_SECONDS = 10
TAIL_BYTES = 1000
PYTHON = (sys.executable, "-I", "-S")


class Leash:
    """A pipe that only this process holds open: what hangs on it ends when this process does."""

    def __init__(self) -> None:
        self.read_fd, self._write_fd = os.pipe()

    def let_go(self) -> None:
        """End all that hangs on it."""
        os.close(self._write_fd)
        os.close(self.read_fd)


class Kept:
    """A process under a keeper, as its starter sees it."""

    def __init__(
        self,
        command: list[str],
        leash: Leash,
        log: Path,
        *,
        stop_by: signal.Signals = signal.SIGTERM,
        user: tuple[int, int] | None = None,
    ) -> None:
        """Start it; `user` is the (uid, gid) it runs as. What it prints goes to `log`."""
        self.log = log
        uid, gid = user or (-1, -1)
        with log.open("ab") as output:
            self._keeper = subprocess.Popen(
                [*PYTHON, __file__, str(int(stop_by)), str(uid), str(gid), *command],
                stdin=leash.read_fd,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in the terminal is the starter's business
            )

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._keeper.poll()

    def stop(self) -> None:
        """Stop it and wait until it is gone, which takes KILL_AFTER_SECONDS at the most."""
        self._keeper.terminate()
        self._keeper.wait()

    def last_words(self) -> str:
        """The last line that it printed."""
        return last_line(self.log) or "it said nothing"


def last_line(log: Path) -> str:
    """The last line of a log, or as much of it as fits into a message."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""


def main() -> int:
    """Run the command line's rest until it ends, or until standard input does."""
    stop_by, uid, gid = (int(word) for word in sys.argv[1:4])
    keeper = os.getpid()

    def end_with_keeper() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop_by)
            if os.getppid() != keeper:
                os._exit(1)

    stopping = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ask)
    child = subprocess.Popen(
        sys.argv[4:],
        stdin=subprocess.DEVNULL,
        preexec_fn=end_with_keeper,
        user=uid if uid >= 0 else None,
        group=gid if uid >= 0 else None,
        extra_groups=[] if uid >= 0 else None,
    )
    threading.Thread(target=_watch_starter, args=(stopping,), daemon=True).start()
    threading.Thread(target=_stop, args=(child, stop_by, stopping), daemon=True).start()
    return child.wait()


def _watch_starter(stopping: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 64):
        pass
    stopping.set()


def _stop(child: "subprocess.Popen[bytes]", stop_by: int, stopping: threading.Event) -> None:
    stopping.wait()
    child.send_signal(stop_by)
    try:
        child.wait(KILL_AFTER_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main())
