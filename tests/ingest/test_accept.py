"""The rules of one event, without a broker: edges, and whatever bytes may come."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.accept import (
    Event,
    Known,
    Memberships,
    Refused,
    SigningRules,
    SourceRecord,
    decide,
    examine,
    read,
)
from services.scoring.engine import RawRecord, State, decode
from shared.native.time import normal_time
from tests.ingest.running import NOW_MS, event

RULES = SigningRules("the secret key of these tests", live=True, source_partitions=1)


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = {"a": value} if level % 2 else [value]
    return {"a": value}


def reason(value: bytes) -> str | None:
    try:
        examine(value, NOW_MS)
    except Refused as refused:
        return refused.reason
    return None


AT_THE_LIMIT = [
    {"id": "x" * 128},
    {"id": "é" * 128},
    {"id": "😀" * 128},
    {"type": "x" * 100},
    {"account_id": "x" * 128},
    {"user_id": "x" * 128},
    {"user_id": None},
    {"time": "2027-01-15T08:05:30.000Z"},
    {"time": "0001-01-01T00:00:00Z"},
    {"properties": {str(key): 1 for key in range(64)}},
    {"properties": nested(7)},
    {"properties": {"a": "x" * (32 * 1024 - 8)}},
    {"properties": None},
    {"properties": {"a": "a literal \\u0000 is text"}},
    {"properties": {"a": [1] * 100, "b": [{}] * 20}},
    {"more": "than the contract knows", "time_zone": {"a": [[[[[[[[[[[[1]]]]]]]]]]]]}},
]
BEYOND_IT = [
    ({"id": "😀" * 129}, "bad_id"),
    ({"properties": nested(8)}, "bad_properties"),
    ({"properties": {"a": "x" * (32 * 1024 - 7)}}, "too_large"),
    ({"properties": {"a": [{"b\0": 1}] * 9}}, "bad_properties"),
    ({"time": "2027-01-15T08:05:30.001Z"}, "future_time"),
    ({"time": "0001-01-01T00:00:00+00:01"}, "bad_time"),
    ({"time": "9999-12-31T23:59:59-00:01"}, "bad_time"),
]


@pytest.mark.parametrize("fields", AT_THE_LIMIT)
def test_at_the_limit_it_is_accepted(fields: dict[str, Any]) -> None:
    assert reason(event(**fields)) is None


@pytest.mark.parametrize(("fields", "expected"), BEYOND_IT)
def test_beyond_it_it_is_refused(fields: dict[str, Any], expected: str) -> None:
    assert reason(event(**fields)) == expected


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("2026-11-22T03:04:05Z", "2026-11-22T03:04:05.000Z"),
        ("2026-11-22t03:04:05.6z", "2026-11-22T03:04:05.600Z"),
        ("2026-11-22 12:04:05.678999999+09:00", "2026-11-22T03:04:05.678Z"),
        ("2026-11-22T03:04:05-00:00", "2026-11-22T03:04:05.000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_rewritten_as_utc_with_milliseconds(text: str, normal: str) -> None:
    assert normal_time(text) == normal


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "20261122T030405Z", "2026-11-22T03:04:05", "2026-11-22T03:04Z"),
        *("2026-W47-7T03:04:05Z", "2026-11-22T03:04:05,6Z", "2026-11-22T24:00:00Z"),
        *("2026-11-22T03:04:61Z", "2026-11-22T03:04:05+24:00", "2026-11-22T03:04:05.Z"),
        *("0000-01-01T00:00:00Z", "٢٠٢٦-11-22T03:04:05Z", "2026-11-22T03:04:05Z "),
    ],
)
def test_what_is_not_rfc_3339_is_no_time(text: str) -> None:
    assert reason(event(time=text)) == "bad_time"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"NaN", None),
        (b"[Infinity, -Infinity, 1]", [None, None, 1]),
        (b"1e999", None),
        (b"9" * 5_000, None),
        (b"9" * 300, int("9" * 300)),
        (b'"x\\ud800y\\udc00"', "x\ufffdy\ufffd"),
        (b'{"\\ud800": "\\ud83d\\ude00"}', {"\ufffd": "😀"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_what_json_cannot_carry_is_replaced(raw: bytes, expected: Any) -> None:
    given_event = event(properties={"p": 0}).replace(b'"p":0', b'"p":' + raw)
    assert examine(given_event, NOW_MS).properties == {"p": expected}


@pytest.mark.parametrize("source", [None, "", 7, ["x"], "x" * 129, "a\0b"])
def test_an_unusable_source_leaves_the_name_to_the_topic(source: Any) -> None:
    assert examine(event(source=source), NOW_MS).source == "usage.events"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=20,
)
names = st.sampled_from(["id", "type", "account_id", "user_id", "time", "source", "properties"])
good_fields = st.fixed_dictionaries(
    {"id": st.text(), "type": st.text(), "account_id": st.text(), "time": st.text()}
) | st.just(json.loads(event(user_id="u", source="s")))
objects = st.builds(
    lambda good, other: json.dumps({**good, **other}).encode(),
    good_fields,
    st.dictionaries(names, json_values, max_size=2),
)


@given(st.binary() | objects, st.none() | st.binary() | st.just(b"myaku.tick"))
def test_whatever_comes_in_there_is_one_verdict_and_scoring_can_read_what_is_accepted(
    value: bytes, key: bytes | None
) -> None:
    reading = read(SourceRecord(0, 0, key, value, None), NOW_MS, RULES)
    outcome = decide([reading], Known())
    assert outcome.read == 1
    assert len(outcome.accepted) + len(outcome.rejected) + len(outcome.parked) == 1
    for _, accepted_key, accepted in outcome.accepted:
        assert not decode([RawRecord(0, accepted_key, accepted)], State(0, hash_seed=0)).bad


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_what_is_accepted_keeps_its_properties(properties: dict[str, Any]) -> None:
    raw = event().removesuffix(b"}") + b',"properties":' + json.dumps(properties).encode() + b"}"
    reading = read(SourceRecord(0, 0, None, raw), NOW_MS, RULES)
    if isinstance(reading.body, Event):
        (_, _, accepted) = decide([reading], Known()).accepted[0]
        assert json.loads(accepted)["properties"] == clean(properties)
    else:
        assert "\0" in str(properties) or "\\x00" in str(properties)


def clean(value: Any) -> Any:
    """The replacements, written a second time."""
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, str):
        return "".join("\ufffd" if 0xD800 <= ord(one) <= 0xDFFF else one for one in value)
    if isinstance(value, list):
        return [clean(one) for one in value]
    if isinstance(value, dict):
        return {clean(key): clean(one) for key, one in value.items()}
    return value


def known_at(*told: dict[str, Any], memberships: Memberships | None = None) -> list[list[str]]:
    """What each of the joinings says of other accounts, read one after the other."""
    values = [
        event(**({"id": str(at), "type": "user.joined", "user_id": "u"} | fields))
        for at, fields in enumerate(told)
    ]
    readings = [
        read(SourceRecord(0, at, None, one), NOW_MS, RULES) for at, one in enumerate(values)
    ]
    outcome = decide(readings, Known(memberships or Memberships()))
    found = [json.loads(value) for _, _, value in outcome.accepted]
    return [one["properties"].get("known_at") for one in found if one["type"] == "user.joined"]


FIRST, SECOND, THIRD = (f"2026-01-0{day}T00:00:00.000Z" for day in (1, 2, 3))


def test_a_joining_user_is_known_from_other_accounts() -> None:
    joined = [{"account_id": "acme", "time": FIRST}, {"account_id": "beta", "time": SECOND}]
    assert known_at(*joined, {"account_id": "corp", "time": THIRD}) == [
        None,
        ["acme"],
        ["acme", "beta"],
    ]
    left = {"account_id": "acme", "time": SECOND, "type": "user.left"}
    assert known_at(joined[0], left, {"account_id": "beta", "time": THIRD}) == [None, ["acme"]]
    again = {"account_id": "beta", "time": THIRD}
    assert known_at(*joined, again) == [None, ["acme"], None], "no new account to them"


def test_a_joining_that_comes_again_says_the_same() -> None:
    joined = [{"account_id": "acme", "time": FIRST}, {"account_id": "beta", "time": SECOND}]
    memberships = Memberships()
    once = known_at(*joined, memberships=memberships)
    assert known_at(*joined, memberships=memberships) == once == [None, ["acme"]]


def test_only_we_say_where_a_user_is_known() -> None:
    told = {"account_id": "acme", "time": FIRST, "properties": {"known_at": ["rival"]}}
    assert known_at(told) == [None]
    assert known_at(told | {"user_id": None}) == [None]
