"""The invariants, asked of a run that is healed and drained: each check names what is wrong."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.events import RESERVED_PREFIX, USAGE_ACCEPTED, USAGE_REJECTED
from tests.chaos.actions import PARTITIONS
from tests.chaos.audit import KEPT, broken_links
from tests.chaos.running import Run
from tests.chaos.world import UNHAPPY
from tests.end_to_end.conftest import read_partitions, read_records
from tests.scoring.histories import Record
from tests.scoring.twins import by_oracle, standing

MILLIONTHS = 1_000_000
NAMES = re.compile(rb"(?:good|bad)-\d+")
SHOWN = 5
SUMS = (
    "SELECT a.account_id, d.day, d.value FROM scoring.day_sum d"
    " JOIN scoring.account a USING (partition, account_no)"
    " JOIN scoring.signal s USING (partition, signal_no) WHERE s.definition = '{}'"
)
HISTORY = (
    "SELECT a.account_id, h.day, h.score_tenths, h.band, h.coverage_hundredths, h.scorecard,"
    " h.revision, h.stale FROM scoring.history h JOIN scoring.account a"
    " USING (partition, account_no) ORDER BY 1, 2"
)
STANDING = ("score", "band", "coverage", "scorecard")


@dataclass
class Found:
    """What is wrong, and how much there was to be right."""

    wrong: list[str]
    counts: dict[str, int]

    def compare(self, what: str, found: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> None:
        """Two tables must be equal."""
        self.counts[what] = len(wanted)
        for key in sorted(found.keys() | wanted.keys(), key=str):
            if found.get(key) != wanted.get(key):
                self.wrong.append(f"{what} {key}: {found.get(key)}, not {wanted.get(key)}")


async def check(run: Run) -> Found:
    """All of them."""
    found = Found([], {})
    await _sums(run, found)
    accepted = await read_partitions(run.settings.kafka, USAGE_ACCEPTED)
    await _ends(run, accepted, found)
    await _scores(run, accepted, found)
    await _alerts(run, found)
    rows = await run.rows(KEPT)
    found.counts["claims and commits"] = len(rows)
    found.wrong += [f"I5 {link}" for link in broken_links(rows)]
    found.wrong += [f"L3 open for too long: {each}" for each in run.watch.too_long]
    found.wrong += [f"L4 {each}" for each in run.watch.too_large]
    for member in [*run.fleet.members, *run.fleet.gone]:
        found.wrong += [
            f"{member.name}: {line}"
            for line in member.said()
            if line["event"] == "stopped by a fault"
        ]
    return found


async def _sums(run: Run, found: Found) -> None:
    """I1: what each account has on each day is what the ledger says."""
    counts = await run.rows(SUMS.format('["sum",null,["*"],{},[]]'))
    wanted = run.traffic.ledger.counted()
    found.compare("I1 events", {(account, day): n for account, day, n in counts}, wanted)
    amounts = await run.rows(SUMS.format('["sum","amount",["*"],{},[]]'))
    sums = {(account, day): value // MILLIONTHS for account, day, value in amounts if value}
    found.compare("I1 amounts", sums, run.traffic.ledger.amounts())


async def _ends(run: Run, accepted: list[list[Record]], found: Found) -> None:
    """I7 and I10: each event that was acknowledged has one end, and the sums say so."""
    ledger = run.traffic.ledger
    events = [
        json.loads(value)
        for records in accepted
        for key, value in records
        if not key.startswith(RESERVED_PREFIX.encode())
    ]
    copies = Counter(event["id"] for event in events)
    found.compare("I7 accepted", dict.fromkeys(copies, 1), dict.fromkeys(ledger.good, 1))
    (counts,) = await run.rows(
        "SELECT sum(counted)::int, sum(duplicates)::int, sum(too_old)::int FROM scoring.partition"
    )
    counted, duplicates, too_old = counts
    wanted_old = sum(event.too_old for event in ledger.good.values())
    found.compare(
        "I10",
        {"counted": counted, "duplicates": duplicates, "too old": too_old},
        {
            "counted": len(ledger.good),
            "duplicates": len(events) - len(ledger.good),
            "too old": wanted_old,
        },
    )
    found.counts["duplicates"] = duplicates
    reasons: dict[str, set[str]] = {}
    for key, value, reason in await _refused(run.settings.kafka):
        name = NAMES.search((key or b"") + b" " + (value or b""))
        reasons.setdefault(name[0].decode() if name else "nobody", set()).add(reason)
    found.compare("I7 refused", reasons, {name: {why} for name, why in ledger.bad.items()})


async def _refused(address: str) -> list[tuple[bytes | None, bytes | None, str]]:
    """Key, value and reason of what stands in `usage.rejected`."""
    records = await read_records(address, USAGE_REJECTED)
    return [
        (record.key, record.value, dict(record.headers)["reason"].decode()) for record in records
    ]


async def _scores(run: Run, accepted: list[list[Record]], found: Found) -> None:
    """I4: the oracle says the same of the same log, each day and now."""
    history: dict[Any, Any] = {}
    now: dict[str, Any] = {}
    for partition, records in enumerate(accepted):
        said = by_oracle([records], partition, PARTITIONS)
        history |= said.history
        now |= {
            name: [health[each] for each in STANDING] for name, health in standing(said)[1].items()
        }
    rows = await run.rows(HISTORY)
    days = {day for _, day in history}
    found.compare("I4 closed days", _every_day(rows, days), history)
    newest = {
        name: json.loads(record)
        for name, record in await run.rows("SELECT account_id, record::text FROM scoring.health")
    }
    found.compare(
        "I4 scores",
        {name: [health[each] for each in STANDING] for name, health in newest.items()},
        now,
    )


def _every_day(rows: Iterable[tuple[Any, ...]], days: set[int]) -> dict[tuple[str, int], Any]:
    """A row for each day, from a row where it differs from the day before."""
    last = max(days, default=0)
    found: dict[tuple[str, int], Any] = {}
    for account, first, *health in rows:
        found |= {(account, day): tuple(health) for day in range(first, last + 1)}
    return found


async def _alerts(run: Run, found: Found) -> None:
    """I6: an alert for each breach, told once in the outbox, delivered under the same id."""
    alerts = await run.rows("SELECT account_id, state FROM alerts.alert")
    states = {account: [s for a, s in alerts if a == account] for account, _ in alerts}
    found.compare("I6 alerts", states, {account: ["firing"] for account in UNHAPPY})
    notes = await run.rows(
        "SELECT n.id, n.kind, n.status, coalesce(d.status, n.status) FROM alerts.notification n"
        " LEFT JOIN alerts.notification d ON d.id = n.digest_id WHERE n.alert_id IS NOT NULL"
    )
    found.compare("I6 notifications", {"opened": len(notes)}, {"opened": len(UNHAPPY)})
    delivered = {
        each["notification_id"]
        for _, body in run.receiver.requests
        for data in [json.loads(body)["data"]]
        for each in data.get("alerts", [data])
    }
    wanted = dict.fromkeys((note[0] for note in notes), ("opened", "sent"))
    found.compare("I6 told", {note[0]: (note[1], note[3]) for note in notes}, wanted)
    found.compare("I6 delivered", dict.fromkeys(delivered), dict.fromkeys(wanted))
    found.counts["webhooks"] = len(run.receiver.ids)


def shorten(wrong: list[str]) -> str:
    """The first few of each kind."""
    seen: Counter[str] = Counter()
    lines = []
    for line in wrong:
        kind = " ".join(line.split()[:2])
        seen[kind] += 1
        if seen[kind] <= SHOWN:
            lines.append(line)
    return "\n".join([*lines, f"{len(wrong)} in all: {dict(seen)}"])
