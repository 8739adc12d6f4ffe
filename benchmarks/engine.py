"""What the scoring engine alone costs: one core, no database, the shipped scorecards.

    python -m benchmarks.engine [events] [accounts] [measures] [close] [memory]

events    CPU per event (decode, deduplicate, fold, score, publish what changed) in batches of
          50,000 and 5,000, against reading the same events with aiokafka and decoding with msgspec
accounts  CPU per event with 1,000,000 accounts against 1,000, in batches of 50,000
measures  CPU per event with 200 measures, of which an event touches two, against 10
close     computing that closing a day takes with 1,000,000 accounts, in seconds
memory    resident GiB of 1,000,000 accounts × 10,000,000 users, 5 % of them active each day,
          with 10 sums and 3 sets, deduplication apart (long: about half an hour)

In `accounts`, `measures` and `close`, composing the health records of whom it changed is told
apart: it grows with how many accounts differ, and with the drivers that each record lists.

Only ratios within one run mean anything. Without names, all but `memory`. Each part runs in a
process of its own. Ends with 1 where a limit is passed.
"""

import argparse
import asyncio
import importlib
import resource
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.throughput import Records, floor, parts, send
from services.scoring.engine import RawRecord, State, advance, decode
from services.scoring.engine.dedupe import evict
from services.scoring.engine.windows import forget_things
from shared import topics
from shared.configuration import revision
from shared.configuration.files import SHIPPED, read_document
from shared.events import CONFIG, TICK, USAGE_ACCEPTED, Config, Mode, Tick, encode
from shared.settings import Settings
from shared.times import iso_time
from tests.conftest import SECRET_KEY

LIMITS = {
    "CPU per event, batches of 50,000": (1.0, "× reading and decoding"),
    "CPU per event, batches of 5,000": (1.6, "× reading and decoding"),
    "CPU per event, 1,000,000 accounts": (1.5, "× 1,000 accounts"),
    "CPU per event, 200 measures": (1.3, "× 10 measures"),
    "closing a day, 1,000,000 accounts": (2.0, "s"),
    "resident, 1,000,000 accounts × 10,000,000 users": (8.0, "GiB"),
}
DAY_MS = 86_400_000
START_MS = 20_500 * DAY_MS
TYPES = (b"page.viewed", b"feature.used", b"report.exported")
FEATURES = 40
HISTORY_DAYS = 95
MEMORY_DAYS = 121
EVENTS = 200_000
BATCH = 50_000
ROUNDS = 3
EVENT = (
    b'{"id":"01JD8Q0V6S%012d","type":"%b","account_id":"account-%07d","user_id":"user-%08d",'
    b'"time":"%b","source":"benchmark","properties":{"feature":"feature-%d","count":%d},'
    b'"received_at":"%b"}'
)

PUBLISHING = [
    importlib.import_module(f"services.scoring.engine.{name}") for name in ("advance", "close")
]
"""The modules of the engine that publish; `import` would find the functions of these names."""

Result = tuple[str, float]


@dataclass
class Product:
    """Random use of a product by the users of so many accounts."""

    accounts: int
    features: int = FEATURES
    users_per_account: int = 10
    chance: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    count: int = 0

    def used(self, count: int, at_ms: int) -> list[RawRecord]:
        """So many events, ascending, in the twelve hours from `at_ms`."""
        return self.used_by(
            self.chance.integers(0, self.accounts * self.users_per_account, count), at_ms
        )

    def used_by(self, users: np.ndarray, at_ms: int) -> list[RawRecord]:
        """An event of each of these users, who are numbered through all accounts."""
        count, chance = len(users), self.chance
        kinds = chance.integers(0, len(TYPES), count).tolist()
        features = chance.integers(0, self.features, count).tolist()
        times = [iso_time(at_ms + DAY_MS // 2 * at // 1000) for at in range(1000)]
        received = iso_time(at_ms + DAY_MS // 2)
        start, self.count = self.count, self.count + count
        size = self.users_per_account
        return [
            RawRecord(
                start + at,
                b"account-%07d" % (user // size),
                EVENT
                % (
                    start + at,
                    TYPES[kinds[at]],
                    user // size,
                    user,
                    times[at * 1000 // count].encode(),
                    features[at],
                    features[at] % 7,
                    received.encode(),
                ),
            )
            for at, user in enumerate(users.tolist())
        ]


class Engine:
    """A partition's state, and the clock of its records."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.state = State(0, secrets.randbits(63))
        self.now_ms = START_MS
        self.take([RawRecord(0, CONFIG.encode(), encode(Config(revision(document), document)))])
        self.tick("history")

    def take(self, records: Sequence[RawRecord]) -> None:
        """One batch, as the pipeline takes it between two commits."""
        batch = decode(records, self.state)
        effects = advance(self.state, batch, lambda _: 0)
        evict(self.state)
        if effects.closed:
            forget_things(self.state)
        self.published = effects.published

    def tick(self, mode: Mode) -> None:
        """Time has come to `now_ms`."""
        self.take([RawRecord(0, TICK.encode(), encode(Tick(0, 1, iso_time(self.now_ms), mode)))])

    def live_through(self, days: int, use: Callable[[int], list[RawRecord]]) -> None:
        """Days of history; `use` gives the events of the day that begins at a time."""
        for _ in range(days):
            found = use(self.now_ms)
            for start in range(0, len(found), BATCH):
                self.take(found[start : start + BATCH])
            self.now_ms += DAY_MS
            self.tick("history")
            self.state.seen.clear()  # measured are neither days nor hashes that were

    def cpu_us(self, records: list[RawRecord], batch: int) -> float:
        """CPU microseconds per event of taking these records live, in batches of that size."""
        began = time.process_time()
        for start in range(0, len(records), batch):
            self.take(records[start : start + batch])
        return (time.process_time() - began) * 1e6 / len(records)


def grown_up(
    product: Product, document: dict[str, Any], events_a_day: int, days: int = HISTORY_DAYS
) -> Engine:
    """An engine that has lived through its windows, and is live."""
    engine = Engine(document)
    engine.live_through(days, lambda at_ms: product.used(events_a_day, at_ms))
    engine.now_ms += DAY_MS // 2
    engine.tick("live")
    return engine


def events(kafka: str | None) -> Iterator[Result]:
    """Batches of 50,000 and of 5,000, against reading and decoding the same events."""
    product = Product(5_000)
    engine = grown_up(product, read_document(SHIPPED), 20_000)
    today_ms = engine.now_ms - DAY_MS // 2
    ratios: dict[int, list[float]] = {50_000: [], 5_000: []}
    for _ in range(ROUNDS):
        for batch, found in ratios.items():
            records = product.used(EVENTS, today_ms)
            least = asyncio.run(read_and_decoded(kafka, records))
            found.append(engine.cpu_us(records, batch) / least)
            print(f"batches of {batch:,}: {found[-1] * least:.2f} µs, floor {least:.2f} µs")
    for batch, found in ratios.items():
        yield f"CPU per event, batches of {batch:,}", statistics.median(found)


async def read_and_decoded(kafka: str | None, found: list[RawRecord]) -> float:
    """CPU microseconds per event of reading with aiokafka and decoding with msgspec."""
    records: Records = {0: [(each.key, each.value, []) for each in found]}
    async with parts(kafka) as (address, url):
        settings = Settings(kafka=address, database_url=url, secret_key=SECRET_KEY)  # type: ignore[arg-type]
        log_id = secrets.token_hex(8)
        await topics.create_log(settings, partitions=1, log_id=log_id, source_partitions=1)
        await send(settings, USAGE_ACCEPTED, records)
        began = time.process_time()
        await floor(settings, records)
        return (time.process_time() - began) * 1e6 / len(found)


def accounts(kafka: str | None) -> Iterator[Result]:
    """1,000,000 accounts against 1,000, of one user each. Composing records is told apart."""
    cost = []
    for count in (1_000, 1_000_000):
        product = Product(count, users_per_account=1)
        with Publishing(leave_out=True):
            engine = grown_up(product, read_document(SHIPPED), 4 * min(count, 10_000))
            engine.take(product.used_by(np.arange(count), engine.now_ms - DAY_MS // 2))
        records = product.used(EVENTS, engine.now_ms - DAY_MS // 2)
        cost.append(cost_apart(engine, records, f"{count:,} accounts"))
    yield "CPU per event, 1,000,000 accounts", cost[1] / cost[0]


def measures(kafka: str | None) -> Iterator[Result]:
    """200 measures against 10; an event touches two of them. Composing records is told apart."""
    cost = []
    for count in (10, 200):
        product = Product(5_000, features=count // 2)
        engine = grown_up(product, many_measures(count), 20_000, days=30)
        records = product.used(EVENTS, engine.now_ms - DAY_MS // 2)
        cost.append(cost_apart(engine, records, f"{count} measures"))
    yield "CPU per event, 200 measures", cost[1] / cost[0]


def cost_apart(engine: Engine, records: list[RawRecord], name: str) -> float:
    """CPU microseconds per event of taking records, without composing health records."""
    with Publishing() as composing:
        whole = engine.cpu_us(records, BATCH)
    composed = composing.seconds * 1e6 / len(records)
    print(f"{name}: {whole - composed:.2f} µs, and {composed:.2f} µs for health records")
    return whole - composed


def many_measures(count: int) -> dict[str, Any]:
    """The shipped configuration with other measures: two for each feature."""
    document = read_document(SHIPPED)
    metrics: dict[str, Any] = {}
    for at in range(count // 2):
        where = {"feature": f"feature-{at}"}
        metrics[f"uses_{at}"] = {"count": "*", "window": "28d", "where": where}
        metrics[f"days_{at}"] = {"days": "*", "window": "28d", "where": where}
    curve = [[0, 0], [3, 100]]  # once an account uses everything, little is left to publish
    names = sorted(metrics)
    dimensions = {
        f"part_{at}": {
            "weight": 1 + at,
            "measures": {name: {"weight": 1, "curve": curve} for name in names[at::5]},
        }
        for at in range(5)
    }
    card = {"id": "all", "dimensions": dimensions}
    bands = document["scorecards"]["bands"]
    scorecards = {"metrics": metrics, "scorecards": [card], "bands": bands}
    return document | {"scorecards": scorecards}


def close(kafka: str | None) -> Iterator[Result]:
    """A day's end with 1,000,000 accounts, a tenth of which were active."""
    product = Product(1_000_000)
    engine = Engine(read_document(SHIPPED))
    everybody = np.arange(product.accounts) * product.users_per_account
    with Publishing(leave_out=True):
        engine.live_through(1, lambda at_ms: product.used_by(everybody, at_ms))
        engine.live_through(20, lambda at_ms: product.used(100_000, at_ms))
    spent = []
    for _ in range(ROUNDS):
        for _ in range(2):
            engine.take(product.used(BATCH, engine.now_ms))
        engine.now_ms += DAY_MS
        began = time.process_time()
        with Publishing() as composing:
            engine.tick("history")
        spent.append(time.process_time() - began - composing.seconds)
        records = engine.published
        print(f"{spent[-1]:.2f} s, and {composing.seconds:.2f} s for {records:,} health records")
    yield "closing a day, 1,000,000 accounts", statistics.median(spent)


class Publishing:
    """The engine's composing of health records: its CPU seconds added up, or left out."""

    def __init__(self, *, leave_out: bool = False) -> None:
        self.seconds = 0.0
        self.leave_out = leave_out
        self.publish = PUBLISHING[0].publish

    def __call__(self, *arguments: Any) -> None:
        if not self.leave_out:
            began = time.process_time()
            self.publish(*arguments)
            self.seconds += time.process_time() - began

    def __enter__(self) -> "Publishing":
        for module in PUBLISHING:
            module.publish = self  # type: ignore[attr-defined]
        return self

    def __exit__(self, *error: object) -> None:
        for module in PUBLISHING:
            module.publish = self.publish  # type: ignore[attr-defined]


def memory(kafka: str | None) -> Iterator[Result]:
    """All that a state of that size holds in memory, deduplication apart."""
    product = Product(1_000_000)
    engine = Engine(ten_sums_and_three_sets())
    users = product.accounts * product.users_per_account
    parts_of_everybody = np.array_split(np.arange(users), 20)  # each user came on some day
    for part in parts_of_everybody:
        engine.live_through(1, lambda at_ms, part=part: product.used_by(part, at_ms))  # type: ignore[misc]
    engine.live_through(
        MEMORY_DAYS,
        lambda at_ms: product.used_by(product.chance.integers(0, users, users // 20), at_ms),
    )
    engine.state.seen.clear()
    yield "resident, 1,000,000 accounts × 10,000,000 users", resident_gib()


def ten_sums_and_three_sets() -> dict[str, Any]:
    """The shipped configuration with counts, sums, users and features of three event types."""
    document = read_document(SHIPPED)
    metrics: dict[str, Any] = {}
    for at, kind in enumerate(("*", *(name.decode() for name in TYPES))):
        metrics[f"uses_{at}"] = {"count": kind, "window": "28d"}
        metrics[f"amount_{at}"] = {"sum": "count", "of": kind, "window": "90d"}
    for at in range(2):
        where = {"feature": f"feature-{at}"}
        metrics[f"feature_{at}"] = {"count": "*", "window": "28d", "where": where}
    metrics["users"] = {"users": "*", "window": "28d"}
    metrics["viewers"] = {"users": TYPES[0].decode(), "window": "28d"}
    metrics["exporters"] = {"users": TYPES[2].decode(), "window": "90d"}
    metrics["silence"] = {"silence_risk": "*"}
    level = {
        "weight": 1,
        "curve": [[0, 50]],
    }  # nothing to publish, so days pass faster
    dimensions = {"use": {"weight": 1, "measures": dict.fromkeys(metrics, level)}}
    card = {"id": "all", "dimensions": dimensions}
    bands = document["scorecards"]["bands"]
    return document | {"scorecards": {"metrics": metrics, "scorecards": [card], "bands": bands}}


def resident_gib() -> float:
    """The memory that the process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**30


PARTS = {each.__name__: each for each in (events, accounts, measures, close, memory)}


def report(name: str, value: float) -> bool:
    """Print a figure and its limit; whether it keeps to it."""
    limit, unit = LIMITS[name]
    print(f"| {name} | {value:.2f} {unit} | ≤ {limit} |", flush=True)
    return value <= limit


def main() -> int:
    """Run the parts; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--kafka", help="HOST:PORT, for the floor; our topics there are removed")
    chosen = parser.parse_args()
    names = chosen.parts or [name for name in PARTS if name != "memory"]
    if len(names) == 1:
        kept = [report(*result) for result in PARTS[names[0]](chosen.kafka)]
        return 0 if all(kept) else 1
    command = [sys.executable, "-m", "benchmarks.engine"]
    command += ["--kafka", chosen.kafka] if chosen.kafka else []
    return max(subprocess.run([*command, name], check=False).returncode for name in names)


if __name__ == "__main__":
    sys.exit(main())
