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

PR_SET_PDEATHSIG = 1
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
        kill_after_seconds: int = 10,
    ) -> None:
        """Start it; `user` is the (uid, gid) it runs as. What it prints goes to `log`."""
        self.log = log
        numbers = (stop_by, kill_after_seconds, *(user or (-1, -1)))
        with log.open("ab") as output:
            self._keeper = subprocess.Popen(
                [*PYTHON, __file__, *(str(int(number)) for number in numbers), *command],
                stdin=leash.read_fd,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in the terminal is the starter's business
            )

    @property
    def keeper_pid(self) -> int:
        """The keeper's process; what it keeps is its child."""
        return self._keeper.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._keeper.poll()

    def stop(self) -> None:
        """Stop it, if need be by SIGKILL, and wait until it is gone."""
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
    stop_by, kill_after_seconds, uid, gid = (int(word) for word in sys.argv[1:5])
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: told.set())
    child = _start(sys.argv[5:], stop_by, uid, gid)

    def stop_when_told() -> None:
        told.wait()
        child.send_signal(stop_by)
        try:
            child.wait(kill_after_seconds)
        except subprocess.TimeoutExpired:
            child.kill()

    threading.Thread(target=_watch_starter, args=(told,), daemon=True).start()
    threading.Thread(target=stop_when_told, daemon=True).start()
    return child.wait()


def _start(command: list[str], stop_by: int, uid: int, gid: int) -> "subprocess.Popen[bytes]":
    keeper = os.getpid()

    def end_with_keeper() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop_by)
            if os.getppid() != keeper:
                os._exit(1)

    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=end_with_keeper,
        user=uid if uid >= 0 else None,
        group=gid if uid >= 0 else None,
        extra_groups=[] if uid >= 0 else None,
    )


def _watch_starter(told: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 64):
        pass
    told.set()


if __name__ == "__main__":
    sys.exit(main())
