"""Random histories of one deployment, as Hypothesis strategies: what `usage.accepted` may hold.

A history is drawn as steps that say how far from the clock something happens, and told as
records; so small numbers shrink to short and readable histories.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tests.scoring.documents import document, documents
from tests.scoring.success_documents import HAPPENINGS

HOUR = 3_600_000
DAY = 24 * HOUR
START = 1_708_300_800_000  # 2024-02-19, three weeks before New York's clocks change
ACCOUNTS = ("acme", "beta", "ñandú", "z")

Record = tuple[bytes, bytes]


def at(instant: int) -> str:
    """An instant as it stands in a record."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record(key: str, **body: Any) -> Record:
    """A record of the log."""
    return key.encode(), json.dumps(body).encode()


def config(document: dict[str, Any]) -> Record:
    """A configuration record."""
    return record("myaku.config", type="myaku.config", revision="any", document=document)


def one(metric: dict[str, Any], curve: Any = ([0, 0], [1000, 100])) -> Record:
    """A configuration of a single metric `m`."""
    measures = {"m": {"weight": 1, "curve": list(curve)}}
    card = {"id": "all", "dimensions": {"use": {"weight": 1, "measures": measures}}}
    return config(document({"m": metric}, card))


def tick(
    instant: int,
    mode: str = "history",
    source: int = 0,
    sources: int = 1,
    newest: dict[str, str] | None = None,
    refused: dict[str, int] | None = None,
) -> Record:
    """A tick record; `newest` event times and numbers of refusals are by source."""
    return record(
        "myaku.tick", type="myaku.tick", source_partition=source, source_partitions=sources,
        time=at(instant), mode=mode, sources=newest or {}, rejected=refused or {},
    )  # fmt: skip


def erased(user: str, instant: int) -> Record:
    """The record of an erasure."""
    return record("myaku.user.erased", type="user.erased", user_id=user, time=at(instant))


def event(account: str, instant: int, kind: str = "report.run", **others: Any) -> Record:
    """An accepted event; by default heard of a second later."""
    body: dict[str, Any] = {"id": f"{kind}-{instant}", "type": kind, "account_id": account}
    body |= {"user_id": None, "time": at(instant), "source": "app", "properties": {}}
    return record(account, **(body | {"received_at": at(instant + 1000)} | others))


NUMBERS = (0, 1, 2.5, "3.25", "1e3", True, None, 0.1, -4, 10**9, 2e9, 5e-7, 1.0000005, " 1", "٣")
PROPERTIES = {
    "feature": ("export", "1", 1, 1.0, True, None, 2.5, [1], {}, "", -0.0, 0, 1e300),
    "amount": NUMBERS,
    "score": (0, 7, 9.5, "8", "x", None, 10),
    "survey": ("nps", "csat"),
    "size": ("S", "E", None, 1, True, [1]),
    "seats": (0, 5, 10, "20", None, True, 1),
    "mrr": ("100.50", "0", 80, None),
    "name": ("Acme", "Beta", 1, True, {"a": 1}, {"a": 1.0}, {"a": True}),
    "closed": (True, False),
    "ticket_id": ("t1", "t2", 1, 1.0, None),
    "priority": ("urgent", "low"),
}
OVERRIDES = (
    {"score": 12.34, "author": "ana", "reason": "they told us"},
    {"score": 100, "author": "", "reason": ""},
    {"score": 0, "author": "ben", "reason": "merged"},
    {"score": None, "author": "ana"},
    {"score": 100.1},
    {"score": "80", "author": "ana", "reason": "not a number"},
    {"score": True, "author": "ana"},
    {"author": "ana"},
    {"score": 50, "author": None},
)
"""What an override says beside its end: some of it cannot be read."""
TYPES = (
    *("report.run", "report.run", "export.made", "export.made", "survey.answered"),
    *("account.updated", "account.updated", "subscription.started", "subscription.cancelled"),
    *(
        "subscription.renewed",
        "account.closed",
        "account.overridden",
        "support.ticket_opened",
        "user.joined",
        "support.ticket_opened",
        "support.ticket_solved",
    ),
)
LAGS = (0, 0, 0, -1, -3 * HOUR, -23 * HOUR, -DAY, -DAY - 1, -3 * DAY, -29 * DAY, -60 * DAY)
FAR = (-119 * DAY, -120 * DAY, -121 * DAY, -200 * DAY, HOUR, 5 * HOUR, DAY, DAY + HOUR, 40 * DAY)


@dataclass(frozen=True)
class Happening:
    """An event, `lag` from the clock; or an earlier event once more."""

    account: str
    kind: str
    lag: int
    user: str | None
    properties: dict[str, Any]
    heard_after: int
    id: str
    corrected: int | None
    again: int | None
    origin: str


@dataclass(frozen=True)
class Erasing:
    """A user is erased, `lag` from the clock."""

    user: str
    lag: int


@dataclass(frozen=True)
class Passing:
    """Time passes, for one source partition."""

    span: int
    source: int
    sources: int
    newest: dict[str, int]
    refused: dict[str, int]


@dataclass(frozen=True)
class Other:
    """A configuration, a barrier, or a record that nobody can use."""

    record: Record


Step = Happening | Passing | Erasing | Other

happenings = st.builds(
    Happening,
    account=st.sampled_from(ACCOUNTS),
    kind=st.sampled_from(TYPES),
    lag=st.sampled_from(LAGS) | st.sampled_from(FAR),
    user=st.sampled_from((None, "u1", "u2", "u3")),
    properties=st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(values) for name, values in PROPERTIES.items()}
    ),
    heard_after=st.sampled_from((1000, 1000, 1000, DAY, DAY + 1, 9 * DAY, 300 * DAY)),
    id=st.sampled_from(("a", "b", "é", "z")),
    origin=st.sampled_from(("app", "app", "web", "mail")),
    corrected=st.none() | st.sampled_from((DAY, 2 * DAY, 3 * DAY, -130 * DAY)),
    again=st.none() | st.none() | st.integers(1, 6),
)
overridings = st.builds(
    Happening,
    account=st.sampled_from(ACCOUNTS),
    kind=st.just("account.overridden"),
    lag=st.sampled_from(LAGS),
    user=st.none(),
    properties=st.builds(
        lambda given, lasts: {**given, "lasts": lasts},
        st.sampled_from(OVERRIDES),
        st.sampled_from((-1, 0, 1, HOUR, DAY, 3 * DAY, 40 * DAY)),
    ),
    heard_after=st.just(1000),
    id=st.sampled_from(("a", "b", "é", "z")),
    origin=st.just("app"),
    corrected=st.none(),
    again=st.none() | st.none() | st.integers(1, 6),
)
erasings = st.builds(
    Erasing,
    user=st.sampled_from(("u1", "u2", "nobody")),
    lag=st.sampled_from((0, 0, 1, -HOUR, -DAY, -40 * DAY, DAY)),
)
successes = st.sampled_from(HAPPENINGS).flatmap(
    lambda told: st.builds(
        Happening,
        account=st.sampled_from(ACCOUNTS[:2]),
        kind=st.just(told[0]),
        lag=st.sampled_from(LAGS) | st.sampled_from(FAR),
        user=st.sampled_from((None, "u1", "u2")),
        origin=st.sampled_from(("app", "app", "crm")),
        properties=st.fixed_dictionaries(
            {name: st.sampled_from(values) for name, values in told[1].items()}
        ),
        heard_after=st.sampled_from((1000, DAY + 1)),
        id=st.sampled_from(("a", "b", "é", "z")),
        corrected=st.none(),
        again=st.none() | st.none() | st.none() | st.integers(1, 6),
    )
)
SPANS = (0, 1, HOUR, 5 * HOUR, 13 * HOUR, DAY, DAY, 2 * DAY, 7 * DAY, 30 * DAY, 121 * DAY, -HOUR)
passings = st.builds(
    Passing,
    span=st.sampled_from(SPANS),
    source=st.integers(0, 2),
    sources=st.sampled_from((1, 2, 2, 3)),
    newest=st.dictionaries(
        st.sampled_from(("app", "app", "web", "mail", "silent")),
        st.sampled_from(
            (0, 0, 60_000, -HOUR, -HOUR - 1, -5 * HOUR, -20 * HOUR, -3 * DAY, -70 * DAY)
        ),
        max_size=3,
    ),
    refused=st.dictionaries(st.sampled_from(("app", "bad")), st.integers(1, 3), max_size=1),
)
ODD = (
    record("myaku.barrier", type="myaku.barrier", id="b"),
    record("myaku.log", type="myaku.log", id="x", partitions=1),
    (b"acme", b"{"),
    (b"acme", b'{"type": "report.run"}'),
    record("acme", type="x", id="1", account_id="acme", source="s", properties={}, time="soon"),
)


@dataclass
class Teller:
    """Tells steps as records; its clocks say what `lag` and `span` are from."""

    mode: str
    now: int = START
    sources: dict[int, int] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, steps: Iterable[Step]) -> Iterator[Record]:
        """The records of the steps."""
        for step in steps:
            if isinstance(step, Happening):
                yield self.happening(step)
            elif isinstance(step, Passing):
                yield self.passing(step)
            elif isinstance(step, Erasing):
                yield erased(step.user, max(0, self.now + step.lag))
            else:
                yield step.record

    def happening(self, step: Happening) -> Record:
        """A new event, or one told before, received anew."""
        instant = max(0, self.now + step.lag)
        properties = dict(step.properties)
        if "lasts" in properties:
            properties["expires_at"] = at(max(0, instant + properties.pop("lasts")))
        body: dict[str, Any] = {
            "id": f"{step.id}{len(self.told)}",
            "type": step.kind,
            "account_id": step.account,
            "user_id": step.user,
            "time": at(instant),
            "source": step.origin,
            "properties": properties,
        }
        if step.corrected is not None:
            body["original_time"] = at(max(0, instant + step.corrected))
        if step.again is not None and self.told:
            body = dict(self.told[-1 - step.again % len(self.told)])
        self.told.append(body)
        return record(body["account_id"], **body, received_at=at(instant + step.heard_after))

    def passing(self, step: Passing) -> Record:
        """A tick in the teller's mode."""
        if self.mode == "history":
            self.now += max(0, step.span)
            return self.tick(step, self.now + min(0, step.span), 0, 1)
        time = self.sources.get(step.source, self.now) + step.span
        self.sources[step.source] = time
        self.now = max(self.now, min(self.sources.values()))
        return self.tick(step, time, step.source % step.sources, step.sources)

    def tick(self, step: Passing, time: int, source: int, sources: int) -> Record:
        """A tick, with what it tells of sources."""
        newest = {name: at(max(0, time + lag)) for name, lag in step.newest.items()}
        return tick(time, self.mode, source, sources, newest=newest, refused=step.refused)


USUAL = (
    happenings,
    happenings,
    happenings,
    happenings,
    successes,
    successes,
    overridings,
    erasings,
)


@st.composite
def histories(
    draw: st.DrawFn, modes: tuple[str, ...] = ("history",), happening: Any = USUAL
) -> list[Record]:
    """Records of one partition: each mode's in turn, under configurations that change.

    `happening` is what may happen between what passes of time.
    """
    zone = draw(st.sampled_from(("UTC", "America/New_York", "Asia/Tokyo", "America/Santiago")))
    of_zone = documents(zone)
    others = st.builds(Other, st.sampled_from(ODD) | st.builds(config, of_zone))
    steps = st.lists(
        st.one_of(*happening, *[passings] * 3, others),
        min_size=1,
        max_size=40,
    )
    teller = Teller(modes[0])
    records: list[Record] = []
    for mode in modes:
        teller.mode = mode
        records += teller.tell(draw(steps))
    records.insert(min(draw(st.sampled_from((0, 0, 0, 3))), len(records)), config(draw(of_zone)))
    return records


@st.composite
def batches(draw: st.DrawFn, records: list[Record]) -> list[list[Record]]:
    """The records in order, cut into batches anywhere."""
    cuts = sorted(draw(st.sets(st.integers(0, len(records)), max_size=6)))
    return [records[a:b] for a, b in zip([0, *cuts], [*cuts, len(records)], strict=True)]


@st.composite
def punctual_sources(draw: st.DrawFn) -> list[list[Record]]:
    """Live source partitions whose events come in the order of their times."""
    count = draw(st.integers(2, 3))
    sources = []
    for source in range(count):
        now, records = START, []
        for number, (span, account, is_tick) in enumerate(
            draw(
                st.lists(
                    st.tuples(
                        st.sampled_from((HOUR, 7 * HOUR, DAY, 3 * DAY)),
                        st.sampled_from(ACCOUNTS),
                        st.booleans(),
                    ),
                    max_size=12,
                )
            )
        ):
            now += span
            told = event(account, now, id=f"{source}-{number}", user_id=f"u{number % 3}")
            records.append(tick(now, "live", source, count) if is_tick else told)
        sources.append([*records, tick(START + 40 * DAY, "live", source, count)])
    return sources


@st.composite
def interleaved(draw: st.DrawFn, sources: list[list[Record]]) -> list[Record]:
    """The sources' records in some order that keeps each source's own."""
    turns = [source for source, records in enumerate(sources) for _ in records]
    left = [iter(records) for records in sources]
    return [next(left[source]) for source in draw(st.permutations(turns))]
