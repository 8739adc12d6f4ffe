"""Named points of the pipelines at which a rehearsal lets this process end or stand still."""

import os
import signal

FAIL_AT = os.environ.get("MYAKU_FAIL_AT")
"""For tests and rehearsals only: POINT, POINT:N or POINT:N:STOP; see docs/operations.md."""

_point, _number, _signal = [*(FAIL_AT or "").split(":"), "", ""][:3]
_left = int(_number or "1")


def reach(point: str) -> None:
    """Nothing, unless FAIL_AT names the point: at its N-th time the process gets the signal."""
    global _left
    if point != _point:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.Signals[f"SIG{_signal or 'KILL'}"])
