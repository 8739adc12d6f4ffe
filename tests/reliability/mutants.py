"""What each guard is good for: it is taken out, one at a time, and a test has to notice.

    python -m tests.reliability.mutants [NAME …]

A copy of the tree gets the mutant and runs the tests that are to catch it. Ends with 1 where a
mutant lives, or where its text is no longer in the code.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("services", "shared", "tests", "config", "docs", "pyproject.toml")
STATE_MACHINE = ["-m", "pytest", "-x", "-q", "tests/reliability/test_state_machine.py"]
SIMULATION = ["-m", "tests.simulation", "--seeds", "500", "--stop"]

NOTICED = ("FAILED tests/", "again: python -m tests.simulation --only")
"""What a failing test says; one that cannot even start says something else."""


@dataclass(frozen=True)
class Mutant:
    """A guard that is taken out: in files, a text becomes another."""

    name: str
    what: str
    edits: tuple[tuple[str, str, str], ...]
    command: list[str]


MUTANTS = (
    Mutant(
        "M1",
        "the fence compares nothing",
        (
            (
                "shared/offsets.py",
                " AND log_id = :log_id AND epoch = :epoch AND next = :old",
                " AND (log_id, epoch, next) IS DISTINCT FROM (:log_id, :epoch, :old + 10000000)",
            ),
        ),
        STATE_MACHINE,
    ),
    Mutant(
        "M2",
        "nobody looks whether the fence moved",
        (("shared/offsets.py", "if moved.rowcount != 1:", "if moved.rowcount < 0:"),),
        STATE_MACHINE,
    ),
    Mutant(
        "M3",
        "the fence is committed before the rows, in a transaction of its own",
        (
            (
                "services/scoring/store.py",
                "    claim = await advance(connection, held, offset)\n",
                "    claim = await advance(connection, held, offset)\n"
                '    await connection.exec_driver_sql("COMMIT")\n',
            ),
        ),
        STATE_MACHINE,
    ),
    Mutant(
        "M4",
        "state is loaded in no snapshot, and the offset read afterwards",
        (
            ("shared/database.py", '"REPEATABLE READ"', '"READ COMMITTED"'),
            (
                "services/scoring/pipeline.py",
                "            loaded = await load(connection, held)\n",
                "            loaded = await load(connection, held)\n"
                "        async with transaction(self.database) as connection:\n"
                "            held = await claim("
                'connection, "scoring", partition, marker.id, self.owner)\n',
            ),
        ),
        STATE_MACHINE,
    ),
    Mutant(
        "M5",
        "the offset that is saved is one too far",
        (
            (
                "services/scoring/pipeline.py",
                "offset = records[-1].offset + 1",
                "offset = records[-1].offset + 2",
            ),
        ),
        STATE_MACHINE,
    ),
    Mutant(
        "M6",
        "what a failed commit had added to deduplication is kept",
        (
            (
                "services/scoring/pipeline.py",
                "        self.partitions.pop(partition, None)\n",
                "        self.seen = gone.state.seen if ("
                "gone := self.partitions.pop(partition, None)) else None\n",
            ),
            (
                "services/scoring/pipeline.py",
                "        await self._send_again(loaded, held)\n",
                "        await self._send_again(loaded, held)\n"
                '        if getattr(self, "seen", None):\n'
                "            loaded.state.seen = self.seen\n",
            ),
        ),
        STATE_MACHINE,
    ),
    Mutant(
        "M7",
        "a notification has another id whenever it is composed",
        (
            (
                "services/alerts/notifications.py",
                'return "msg_" + digest(',
                'return "msg_" + digest(__import__("secrets").token_hex(8), ',
            ),
        ),
        SIMULATION,
    ),
    Mutant(
        "M8",
        "after a failed commit the state in memory is kept",
        (
            (
                "services/scoring/pipeline.py",
                "        self.partitions.pop(partition, None)\n",
                "",
            ),
        ),
        STATE_MACHINE,
    ),
    Mutant(
        "M9",
        "reading goes on wherever the consumer stands",
        (
            ("shared/loop.py", "        self.consumer.seek(lane.place, offset)\n", ""),
            ("shared/lane.py", "if record.offset >= self.next", "if record.offset >= 0"),
        ),
        SIMULATION,
    ),
    Mutant(
        "M10",
        "records are taken in before the state is loaded",
        (
            ("shared/loop.py", "        self.consumer.pause(*assigned)\n", ""),
            (
                "shared/loop.py",
                "            lane = self.lanes[place] = Lane(place)\n",
                "            lane = self.lanes[place] = Lane(place)\n            lane.start(0)\n",
            ),
            (
                "shared/loop.py",
                "        lane.start(offset)\n",
                "        lane.open = lane.sound = True\n",
            ),
        ),
        SIMULATION,
    ),
    Mutant(
        "M11",
        "ingest commits its offsets before the broker has what it sends",
        (
            (
                "services/ingest/pipeline.py",
                "        outcome = decide(readings, known)\n",
                "        outcome = decide(readings, known)\n        await self._commit(batch)\n",
            ),
        ),
        SIMULATION,
    ),
    Mutant(
        "M12",
        "rows are written outside the transaction",
        (
            (
                "shared/database.py",
                "    async with engine.connect() as connection, connection.begin():\n"
                "        yield connection\n",
                "    async with engine.connect() as connection:\n"
                '        await connection.execution_options(isolation_level="AUTOCOMMIT")\n'
                "        yield connection\n",
            ),
        ),
        STATE_MACHINE,
    ),
)


def survives(mutant: Mutant) -> str:
    """Why the mutant lives; empty where a test noticed it."""
    with tempfile.TemporaryDirectory(prefix="myaku-mutant-") as name:
        tree = Path(name)
        for part in COPIED:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, tree / part)
        for file, text, other in mutant.edits:
            before = (tree / file).read_text()
            if before.count(text) != 1:
                return f"{file} has its text {before.count(text)} times: mend the mutant"
            (tree / file).write_text(before.replace(text, other))
        done = subprocess.run(
            [sys.executable, *mutant.command],
            cwd=tree,
            env=os.environ | {"PYTHONPATH": name, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 1 and any(said in done.stdout for said in NOTICED):
        return ""
    return f"the tests ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def main() -> int:
    """Run the mutants; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", help=", ".join(one.name for one in MUTANTS))
    names = parser.parse_args().names
    alive = 0
    for mutant in MUTANTS:
        if not names or mutant.name in names:
            why = survives(mutant)
            alive += bool(why)
            sys.stdout.write(f"{mutant.name} ({mutant.what}): {why or 'noticed'}\n")
            sys.stdout.flush()
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
