"""Runs of the chaos tests: `python -m tests.chaos --seed S --broker tansu|apache-kafka`."""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.actions import Action, draw
from tests.chaos.checks import check, shorten
from tests.chaos.running import Run, prepared
from tests.chaos.servers import BROKERS

ROOT = Path(__file__).resolve().parents[2]


async def play(
    seed: int, broker: str, count: int, directory: Path, only: Sequence[str] = ()
) -> str:
    """One run; what was counted in it. Raises AssertionError with what repeats it."""
    actions = draw(seed, count, keeps_log=BROKERS[broker].keeps_log, only=only)
    try:
        async with prepared(seed, broker, directory) as run:
            await run.under(actions)
            with run.measured("checks"):
                found = await check(run)
            assert not found.wrong, "\n" + shorten(found.wrong)
            return report(run, found.counts)
    except BaseException as error:
        why = "".join(traceback.format_exception(first_cause(error)))
        raise AssertionError(f"{why}\n{how_to_repeat(seed, broker, actions, only)}") from error


def first_cause(error: BaseException) -> BaseException:
    """What a group of errors began with."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def how_to_repeat(
    seed: int, broker: str, actions: Sequence[Action], only: Sequence[str] = ()
) -> str:
    """The command, the revision, and the whole list."""
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    command = f"python -m tests.chaos --seed {seed} --broker {broker} --faults {len(actions)}"
    command += "".join(f" --only {what}" for what in only)
    return "\n".join([f"{command}  # at {revision}", *map(str, actions)])


def report(run: Run, counts: dict[str, int]) -> str:
    """What was right, what went wrong on purpose, and what it did to the services."""
    said = Counter(
        str(line["event"])
        for member in [*run.fleet.members, *run.fleet.gone]
        for line in member.said()
        if "logger" not in line
    )
    cuts: Counter[str] = Counter()
    for proxy in run.postgres.proxies.values():
        cuts.update({f"COMMIT {name}": count for name, count in proxy.cuts.items()})
    parts = {
        "held": counts,
        "faults": run.faults.done,
        "ended": run.fleet.ended,
        "sometimes": run.fleet.totals() + +cuts,
        "said": {name: count for name, count in said.items() if count},
        "sent": run.sender.acknowledged + Counter({"not acknowledged": run.sender.failed.total()}),
        "sizes": {
            "MiB": round(run.watch.memory_mib),
            "longest transaction, ms": round(run.watch.longest_seconds * 1000),
            **{f"{part}, s": round(seconds) for part, seconds in run.lasted.items()},
        },
    }
    return "\n".join(
        f"{name}: " + ", ".join(f"{what} {count}" for what, count in sorted(part.items()))
        for name, part in parts.items()
    )


def main() -> int:
    """Play as many runs as are asked for, one seed after the other; 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--broker", choices=sorted(BROKERS), default="tansu")
    parser.add_argument("--faults", type=int, default=15)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], help="these faults and no others")
    parser.add_argument("--keep", type=Path, help="where the logs are kept")
    chosen = parser.parse_args()
    status = 0
    for seed in range(chosen.seed, chosen.seed + chosen.runs):
        directory = Path(chosen.keep or tempfile.mkdtemp(prefix="myaku-chaos-")) / str(seed)
        directory.mkdir(parents=True)
        try:
            said = asyncio.run(play(seed, chosen.broker, chosen.faults, directory, chosen.only))
            sys.stdout.write(f"seed {seed}, {chosen.broker}\n{said}\n\n")
        except AssertionError as error:
            status = 1
            sys.stdout.write(f"{error}\nthe logs are in {directory}\n\n")
        sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())
