"""How long a history takes through the whole product, and where the time goes.

    python -m benchmarks.history FILE [--kafka HOST:PORT] [--partitions 4]

Starts `myaku up`, replays the file with --wait, and prints events and account-days per second and
the CPU seconds of each process (Linux only).
"""

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

from services.standalone.up import SERVICES
from tests.conftest import remove_topics
from tests.end_to_end.installation import Installation, run, up

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICKS_A_SECOND


def descendants(pid: int) -> list[int]:
    """The processes under a process, itself included."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += descendants(int(child))
    return found


def by_program(installation: Installation) -> dict[str, float]:
    """CPU seconds so far: of each service by its name, of what else runs by its program."""
    names = {pid: name for name, pid in installation.up_file["pids"].items()}
    spent: dict[str, float] = dict.fromkeys(SERVICES, 0.0)
    for pid in descendants(installation.process.pid):
        name = names.get(pid) or Path(f"/proc/{pid}/comm").read_text().strip()
        spent[name] = spent.get(name, 0.0) + cpu_seconds(pid)
    return spent


async def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("file", type=Path)
    parser.add_argument("--kafka", help="HOST:PORT; our topics there are removed first")
    parser.add_argument("--partitions", default="4")
    chosen = parser.parse_args()
    options = ["--clock", "events", "--partitions", chosen.partitions]
    if chosen.kafka:
        await remove_topics(chosen.kafka)
        options += ["--kafka", chosen.kafka]
    with tempfile.TemporaryDirectory(prefix="myaku-bench-") as directory:
        async with up(Path(directory) / "data", *options) as myaku:
            before = by_program(myaku)
            began = time.perf_counter()
            status, printed = await run(
                "replay", str(chosen.file), "--wait", data_dir=myaku.data_dir, timeout_seconds=3600
            )
            spent = time.perf_counter() - began
            after = by_program(myaku)
            await show(myaku, spent, {name: after[name] - before.get(name, 0) for name in after})
            print(printed if status else "")


async def show(myaku: Installation, spent: float, cpu: dict[str, float]) -> None:
    """What it came to."""
    count = "SELECT sum(next) FROM scoring.partition"
    records = (await myaku.rows(count))[0][0]
    days = """SELECT sum((p.clock->'clock'->>'running_day')::int - a.created_day)
        FROM scoring.account a JOIN scoring.partition p USING (partition)"""
    account_days = (await myaku.rows(days))[0][0]
    published = (await myaku.rows("SELECT sum(sequence) FROM scoring.health"))[0][0]
    print(f"{spent:.1f} s; {records:,} records, {published:,} health records published")
    print(f"{account_days:,} account-days: {account_days / spent:,.0f} per second")
    for name, seconds in sorted(cpu.items(), key=lambda each: -each[1]):
        print(f"  {name:<12} {seconds:6.1f} s of CPU")


if __name__ == "__main__":
    asyncio.run(main())
