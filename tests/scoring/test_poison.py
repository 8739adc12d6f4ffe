"""What nobody should have written into `usage.accepted` is put aside, and the rest goes on."""

import json
from typing import Any

import pytest

from services.scoring.engine import RawRecord, State, advance, decode
from tests.scoring.documents import document
from tests.scoring.histories import DAY, START, Record, at, config, event, tick
from tests.scoring.twins import both, by_engine, by_oracle, value

METRICS = {
    "amount": {"sum": "amount", "of": "*", "window": "28d"},
    "newest": {"latest": "amount", "of": "*"},
    "open": {"open": "key", "of": "a", "closed_by": "b"},
}
NOT_JSON = b"\xff\xfe{"
NESTED = "[" * 100_000 + "]" * 100_000


def control(**body: Any) -> Record:
    return str(body["type"]).encode(), json.dumps(body).encode()


def of_tick(**others: Any) -> Record:
    body = {"source_partition": 0, "source_partitions": 1, "time": at(START), "mode": "history"}
    key, value = control(type="myaku.tick", **body | others)
    return key, value


def with_properties(text: str, **others: Any) -> Record:
    key, value = event("acme", START, id="x", **others)
    return key, value.replace(b'"properties": {}', b'"properties": ' + text.encode())


POISON = {
    "properties nested too deep": with_properties(f'{{"amount": {NESTED}}}'),
    "an event nested too deep": (b"acme", NESTED.encode()),
    "a tick nested too deep": (b"myaku.tick", NESTED.encode()),
    "nothing at all": (b"acme", None),
    "no bytes": (b"acme", b""),
    "no key, and no JSON": (None, NOT_JSON),
    "an array": (b"acme", b"[]"),
    "five million bytes": (b"acme", b'{"id": "' + b"x" * 5_000_000 + b'"}'),
    "a lone surrogate": with_properties(r'{"amount": "\ud800"}'),
    "NaN": with_properties('{"amount": NaN}'),
    "a user that is a number": event("acme", START, id="x", user_id=7),
    "a control record that nobody knows": (b"myaku.unknown", b'{"type": "myaku.unknown"}'),
    "a control record without a value": (b"myaku.tick", None),
    "a tick of a source partition beyond any number": of_tick(source_partition=10**400),
    "an erasure of a number": (b"myaku.user.erased", b'{"type": "user.erased", "user_id": 7}'),
    "a tick of no time": of_tick(time="soon"),
    "a tick of the year 0": of_tick(time="0000-01-01T00:00:00.000Z"),
    "a source's time": of_tick(sources={"app": "x"}),
    "a source's name": of_tick(sources={"a\0b": at(START)}),
    "a refused source's name": of_tick(rejected={"a\0b": 1}),
    "an erasure of no time": (
        b"myaku.user.erased",
        json.dumps({"type": "user.erased", "user_id": "u", "time": "x"}).encode(),
    ),
    "a long user": event("acme", START, id="x", user_id="u" * 70_000),
    "a long id": event("acme", START, id="x" * 129),
    "a long account": event("a" * 129, START, id="x"),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
def test_what_cannot_be_read_or_kept_is_put_aside_with_its_bytes(poison: Record) -> None:
    state = State(0, hash_seed=7)
    before = [config(document(METRICS)), tick(START)]
    after = [event("acme", START, id="good", properties={"amount": 5}), tick(START + DAY)]
    records = [*before, poison, *after]
    effects = advance(
        state, decode((RawRecord(at, *one) for at, one in enumerate(records)), state), lambda _: 0
    )
    assert [(bad.offset, bad.value) for bad in effects.quarantined] == [(2, poison[1] or b"")]
    assert effects.quarantined[0].reason
    assert effects.events == 1
    assert state.accounts.ids == ["acme"]


@pytest.mark.parametrize("number", [10**9 + 1, 10**308, 10**309, 10**400, -(10**400)])
def test_a_number_that_is_too_large_is_none(number: int) -> None:
    settings = config(document({"amount": METRICS["amount"]}))
    events = [with_properties(json.dumps({"amount": each})) for each in (number,)]
    events.append(event("acme", START, id="y", properties={"amount": 5}))
    assert value(both(settings, tick(START), *events, tick(START + 1))) == 5


def test_more_types_than_a_short_number_holds_are_folded_at_once() -> None:
    state = State(0, hash_seed=7)
    held = [event("acme", START + DAY, f"type-{at}", id=f"{at}") for at in range(70_000)]
    records = [config(document(METRICS)), tick(START), *held, tick(START + DAY)]
    effects = advance(
        state, decode((RawRecord(at, *one) for at, one in enumerate(records)), state), lambda _: 0
    )
    assert effects.events == 70_000


def test_a_name_too_long_for_an_index_is_no_fact() -> None:
    settings = config(document({"open": METRICS["open"]}))
    update = event("acme", START, "account.updated", properties={"n" * 8000: 1, "size": "S"})
    opened = event("acme", START, "a", id="a", properties={"key": "k" * 8000})
    short = event("acme", START, "a", id="b", properties={"key": "k" * 200})
    state = State(0, hash_seed=7)
    records = [settings, tick(START), update, opened, short, tick(START + 1)]
    advance(
        state, decode((RawRecord(at, *one) for at, one in enumerate(records)), state), lambda _: 0
    )
    assert state.accounts.profiles[0] == {"size": "S"}
    assert max(map(len, state.accounts.facts[0])) < 250
    assert len(state.accounts.facts[0]) == 2


@pytest.mark.parametrize("metric", ["newest", "open"])
@pytest.mark.parametrize("apart", [False, True])
def test_of_two_types_the_first_of_one_instant_and_id_stays(metric: str, apart: bool) -> None:
    kinds = ("b", "a")
    same = [
        event("acme", START, kind, id="same", source=kind, properties={"amount": at, "key": "k"})
        for at, kind in enumerate(kinds, 1)
    ]
    settings = [config(document({metric: METRICS[metric]})), tick(START)]
    batches = [settings, *([each] for each in same), [tick(START + 1)]]
    if not apart:
        batches = [[record for batch in batches for record in batch]]
    said = by_engine(batches)
    assert said == by_oracle(batches)
    assert value(said) == {"newest": 1, "open": 0}[metric]


def test_another_time_zone_is_put_aside() -> None:
    other = document(METRICS, zone="Asia/Tokyo")
    state = State(0, hash_seed=7)
    records = [config(document(METRICS)), tick(START), config(other), tick(START + DAY)]
    effects = advance(
        state, decode((RawRecord(at, *one) for at, one in enumerate(records)), state), lambda _: 0
    )
    assert [bad.offset for bad in effects.quarantined] == [2]
    assert state.day == START // DAY + 1


def test_another_name_of_the_same_time_zone_is_taken() -> None:
    renamed = config(document(METRICS, zone="Etc/UTC"))
    batches = [[config(document(METRICS)), tick(START), renamed, tick(START + DAY)]]
    said = by_engine(batches)
    assert said == by_oracle(batches)
    assert "quarantined" not in said.counters


def with_amount(amount: str, day: int) -> Record:
    key, value = event("acme", START + day * DAY, id="x", properties={"amount": 1})
    return key, value.replace(b'"amount": 1', b'"amount": ' + amount.encode())


def test_what_waited_is_put_aside_by_its_place_in_the_log() -> None:
    state = State(0, hash_seed=7)
    broken = with_amount("1e999", 0)
    records = [tick(START), broken, config(document(METRICS)), tick(START + DAY)]
    batch = decode((RawRecord(1000 + at, *one) for at, one in enumerate(records)), state)
    effects = advance(state, batch, lambda _: 0)
    assert [(bad.offset, bad.value) for bad in effects.quarantined] == [(1001, broken[1])]


@pytest.mark.parametrize("apart", [False, True])
def test_what_a_later_configuration_could_not_read_is_not_held_and_may_be_sent_again(
    apart: bool,
) -> None:
    state = State(0, hash_seed=7)
    broken = with_amount("1e999", 1)
    records = [
        config(document({"open": METRICS["open"]})),
        tick(START),
        broken,  # nobody reads the amount yet
        config(document(METRICS)),
        tick(START + DAY),
        with_amount("5", 1),
    ]
    raw = [RawRecord(1000 + at, *one) for at, one in enumerate(records)]
    batches = [[each] for each in raw] if apart else [raw]
    done = [advance(state, decode(batch, state), lambda _: 0) for batch in batches]
    aside = [(bad.offset, bad.value) for effects in done for bad in effects.quarantined]
    assert aside == [(1002, broken[1])]
    assert sum(effects.events for effects in done) == 1
    assert not any(effects.duplicates for effects in done)


@pytest.mark.parametrize(
    "fault", [RecursionError(), MemoryError(), OverflowError("x"), KeyError("x"), TypeError("x")]
)
def test_a_decoder_that_raises_what_nobody_foresaw_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    state = State(0, hash_seed=7)
    known = decode.__globals__["times_ms"]

    def fails(texts: list[str]) -> Any:
        if at(START + 7) in texts:
            raise fault
        return known(texts)

    monkeypatch.setitem(decode.__globals__, "times_ms", fails)
    events = [event("acme", START + number, id=f"{number}") for number in range(20)]
    batch = decode([RawRecord(at, *one) for at, one in enumerate(events)], state)
    assert [bad.offset for bad in batch.bad] == [7]
    assert [each.id for each in batch.events.events] == [f"{n}" for n in range(20) if n != 7]
