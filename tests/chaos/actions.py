"""What goes wrong in a run: the whole list is drawn from the seed before anything starts."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

SESSION_SECONDS = 6.0
"""The consumer groups' time-out: the least that Apache Kafka allows."""

SIZES = {"ingest": 2, "scoring": 3, "alerts": 2}
PARTITIONS = 4
POINTS = {
    "scoring": (
        "scoring.before-fence",
        "scoring.after-fence",
        "scoring.mid-rows",
        "scoring.before-commit",
        "scoring.after-commit",
        "scoring.after-relay",
        "load",
        "revoke",
    ),
    "alerts": (
        "alerts.before-fence",
        "alerts.after-fence",
        "alerts.before-commit",
        "alerts.after-commit",
        "load",
        "revoke",
        "delivery.after-answer",
    ),
    "ingest": ("ingest.after-acks", "ingest.before-offsets"),
}
"""The named points of each service's pipelines: shared/rehearsal.py."""

IN_TRANSACTION = ("scoring.mid-rows", "scoring.after-fence", "alerts.after-fence")
GAP_SECONDS = (1.0, 5.0)
STEPS_SECONDS = (-240, 240, 3_600)
"""Not further back than events may be ahead of a clock; forwards as far as anybody likes."""


@dataclass(frozen=True)
class Action:
    """One fault: `what` is a method of Faults, called after `after_seconds` more."""

    after_seconds: float
    what: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"+{self.after_seconds:.1f} s {self.what}({given})"


def draw(seed: int, count: int, *, keeps_log: bool, only: Sequence[str] = ()) -> list[Action]:
    """So many faults; those that need a broker that keeps its log only where it does."""
    dice = random.Random(seed)
    kinds = list(only) or [*KINDS, *(["restart_broker"] * 2 if keeps_log else [])]
    found: list[Action] = []
    while len(found) < count:
        dice.shuffle(kinds)
        for what in kinds[: count - len(found)]:
            arguments = KINDS[what](dice) if what in KINDS else {}
            found.append(Action(round(dice.uniform(*GAP_SECONDS), 1), what, arguments))
    return found


def _whom(dice: random.Random) -> dict[str, Any]:
    service = dice.choice(["scoring", "scoring", "alerts", "ingest"])
    return {"service": service, "number": dice.randrange(SIZES[service])}


def _fail(dice: random.Random) -> dict[str, Any]:
    whom = _whom(dice)
    point = dice.choice(POINTS[whom["service"]])
    return {**whom, "at": f"{point}:{dice.randrange(1, 4)}"}


def _zombie(dice: random.Random) -> dict[str, Any]:
    point = dice.choice(IN_TRANSACTION)
    service = point.partition(".")[0]
    number = dice.randrange(SIZES[service])
    at = f"{point}:{dice.randrange(1, 4)}:STOP"
    return {"service": service, "number": number, "at": at, "seconds": _stopped(dice)}


def _stopped(dice: random.Random) -> float:
    return round(dice.uniform(1.5, 3) * SESSION_SECONDS, 1)


def _link(dice: random.Random) -> dict[str, Any]:
    return {"link": dice.choice(["broker", *SIZES])}


def _slow(dice: random.Random) -> dict[str, Any]:
    return {
        **_link(dice),
        "delay_seconds": dice.choice((0.02, 0.2)),
        "bytes_per_second": dice.choice((16_000, 200_000)),
        "seconds": round(dice.uniform(3, 8), 1),
    }


def _silent(dice: random.Random) -> dict[str, Any]:
    directions = dice.choice((("request",), ("reply",), ("request", "reply")))
    return {**_link(dice), "directions": directions, "seconds": round(dice.uniform(3, 12), 1)}


def _commits(dice: random.Random) -> dict[str, Any]:
    service = dice.choice(["scoring", "scoring", "alerts"])
    return {"service": service, "direction": dice.choice(("reply", "reply", "request")), "count": 2}


def _lock(dice: random.Random) -> dict[str, Any]:
    room = dice.choice(["scoring", "alerts"])
    partition = dice.randrange(PARTITIONS)
    return {"room": room, "partition": partition, "seconds": round(dice.uniform(5, 15), 1)}


KINDS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "kill": _whom,
    "fail": _fail,
    "stop": lambda dice: {**_whom(dice), "seconds": _stopped(dice)},
    "stop_in_transaction": _zombie,
    "restart": _whom,
    "add": lambda dice: {
        "service": dice.choice(list(SIZES)),
        "seconds": round(dice.uniform(3, 10), 1),
    },
    "restart_postgres": lambda dice: {"at_once": dice.choice((True, False))},
    "cut": _link,
    "slow": _slow,
    "silent": _silent,
    "cut_commits": _commits,
    "slow_disk": lambda dice: {"seconds": round(dice.uniform(3, 8), 1)},
    "lock": _lock,
    "step_clock": lambda dice: {"seconds": dice.choice(STEPS_SECONDS)},
    "turn_day": lambda dice: {},
}
