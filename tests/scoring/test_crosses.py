"""The day on which silence leads into a lower band: as the oracle says, and as it comes."""

import json
import random
from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.engine import State
from services.scoring.engine.evaluate import evaluate
from services.scoring.engine.forecast.crosses import foresee
from services.scoring.engine.sources import Sources
from shared.configuration.files import SHIPPED, read_document
from tests.scoring.documents import document, documents
from tests.scoring.histories import DAY, HOUR, START, Record, batches, config, event, tick
from tests.scoring.histories import at as at_time
from tests.scoring.test_engine import examples
from tests.scoring.twins import Engine, both, by_engine, by_oracle

ACCOUNTS = ("acme", "ñandú", "zeta")
FIRST_DAY = date(1970, 1, 1)
START_DAY = START // DAY
BANDS = ("healthy", "watch", "at_risk", "critical")
MILESTONES = ("kickoff", "setup")
AS_SHIPPED = read_document(SHIPPED)


def told_of(seed: int, until: int) -> Iterator[Record]:
    """A past of half a year, all of it heard of at once: people with habits, and what is said."""
    chance = random.Random(seed)
    for account in ACCOUNTS:
        yield from facts(chance, account, until)
        for habit in range(chance.randint(1, 4)):
            every, first = chance.choice((1, 2, 7, 20)), chance.randint(0, 180)
            for ago in range(chance.choice((0, 0, 3, 20)), first, every):
                instant = until - ago * DAY - chance.randint(0, 10 * HOUR)
                yield event(
                    account,
                    instant,
                    chance.choice(("report.run", "report.run", "export.made")),
                    id=f"{account}-{habit}-{ago}",
                    user_id=f"u{habit % 3}",
                    properties={
                        "feature": chance.choice(("export", 1, "list")),
                        "amount": chance.choice((1, 10, 2.5, -3)),
                    },
                )


def facts(chance: random.Random, account: str, until: int) -> Iterator[Record]:
    """Profile, tickets, answers, milestones, and perhaps an override."""
    started = FIRST_DAY.fromordinal(FIRST_DAY.toordinal() + START_DAY - chance.randint(-9, 40))
    said: list[tuple[str, dict[str, Any], int]] = [
        ("account.updated", {"size": chance.choice(("S", 1, True)), "mrr": 100}, 3),
        ("account.updated", {"seats": chance.choice((1, 5, 0, -2))}, chance.randint(0, 3)),
        ("survey.answered", {"survey": "nps", "score": chance.choice((0, 1, 9))}, 12),
    ]
    if chance.random() < 0.5:
        said.append(("account.updated", {"onboarding_started_on": started.isoformat()}, 1))
        milestone = {"milestone": chance.choice(MILESTONES), "status": "done"}
        said.append(("onboarding.milestone", milestone, 0))
    if chance.random() < 0.3:
        ends = at_time(until + chance.choice((1, 9, 70, 300)) * DAY + chance.randint(0, DAY))
        score = chance.choice((10, 60, 90))
        said.append(("account.overridden", {"score": score, "expires_at": ends}, 0))
    for ticket in range(chance.choice((0, 3, 9))):
        said.append(("support.ticket_opened", {"ticket_id": ticket}, chance.randint(0, 100)))
        if chance.random() < 0.5:
            said.append(("support.ticket_solved", {"ticket_id": ticket}, 0))
    for at, (kind, properties, ago) in enumerate(said):
        instant = until - ago * DAY - at
        yield event(account, instant, kind, id=f"{account}-{at}-{until}", properties=properties)


@st.composite
def pasts(draw: st.DrawFn) -> list[Record]:
    """A past, some quiet days, and sometimes news and another configuration on the way."""
    configurations = st.one_of(documents("Europe/Berlin"), st.just(AS_SHIPPED))
    records = [config(draw(configurations)), tick(START - 20 * DAY)]
    mode = draw(st.sampled_from(("history", "live")))
    records.append(tick(START, mode))
    records += told_of(draw(st.integers(0, 10**6)), START)
    now = START + HOUR
    records.append(tick(now, mode))
    for quiet in draw(st.lists(st.sampled_from((1, 1, 2, 5)), max_size=3)):
        now += quiet * DAY
        if draw(st.sampled_from((False, False, False, True))):
            records.append(config(draw(configurations)))
        records.append(tick(now, mode))
        if draw(st.booleans()):
            records.append(event("acme", now, "report.run", id=f"{now}", user_id="u1"))
            records.append(tick(now + 1, mode))
    return records


@given(data=st.data())
@examples(40)
def test_the_day_is_the_one_that_the_oracle_finds_by_closing_days(data: st.DataObject) -> None:
    cut = data.draw(batches(data.draw(pasts())))
    assert by_engine(cut) == by_oracle(cut)


@given(data=st.data())
@examples(40)
def test_silence_leads_into_a_lower_band_on_that_day_and_not_before(data: st.DataObject) -> None:
    records = data.draw(pasts())
    engine = Engine(State(0, hash_seed=7))
    engine.read_batch(records)
    state = engine.state
    state.sources = Sources()
    first, accounts = state.day, np.flatnonzero(~state.accounts.stale[: state.accounts.count])
    tenths = evaluate(state, accounts).tenths
    days, numbers = foresee(state, accounts, tenths)
    assert state.plan is not None
    midnight = state.plan.calendar.begins_ms(first + 121)
    mode = json.loads(records[-1][1])["mode"]
    for pause in data.draw(st.sampled_from(((), (1,), (77, 3)))):
        engine.read_batch([tick(midnight - pause * DAY, mode)])
    engine.read_batch([tick(midnight, mode)])
    history = engine.said().history
    for account, score, day, number in zip(accounts, tenths, days, numbers, strict=True):
        name, band = state.accounts.ids[account], BANDS[number] if number >= 0 else None
        bands = [history[name, closed][1] for closed in range(first, first + 120)]
        lower = [at for at, each in enumerate(bands) if is_lower(each, state.plan.band(score))]
        assert (day, band) == ((first + lower[0], bands[lower[0]]) if lower else (-1, None))


def test_a_record_whose_score_has_vanished_foresees_nothing() -> None:
    """There is nothing to compare with on the 14th day, and on the 15th there is again."""
    metrics = {
        "uses": {"count": "*", "window": "7d"},
        "change": {"change": "uses", "against": "7d"},
    }
    used = [event("acme", START + day * DAY + HOUR, id=str(day)) for day in (0, 8)]
    nights = [tick(START + day * DAY) for day in range(1, 17)]
    measures = {"change": {"weight": 1, "curve": [[-1, 0], [0, 100]]}}
    card = {"id": "all", "dimensions": {"use": {"weight": 1, "measures": measures}}}
    said = both(config(document(metrics, card)), tick(START), *used, *nights)
    told = [(one["score"], one["crosses"]) for key, one in said.outbox if key == "acme"]
    foreseen = {"band": "critical", "on": "2024-03-05", "if": "silent"}
    assert told[-3:] == [(100.0, foreseen), (None, None), (0.0, None)]


def is_lower(band: str | None, than: str | None) -> bool:
    """Whether a band is below another; no score is in none."""
    return band is not None and than is not None and BANDS.index(band) > BANDS.index(than)
