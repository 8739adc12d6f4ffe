"""Events over HTTP, on a real broker and database: a clear answer each, and nothing lost."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest import collector
from services.ingest.accept import Event, examine_body
from services.ingest.accept.request import EVENTS_MAX
from services.ingest.body import BODY_BYTES_MAX
from services.ingest.intake import Intake
from services.standalone import broker
from services.standalone.keeper import Leash
from shared import database, http, kafka
from shared.access import Keyring
from shared.events import TICK, USAGE_EVENTS
from shared.operations import Readiness
from shared.runtime import Running, listen, serve_http
from shared.times import iso_time
from tests import callers
from tests.conftest import settings_for
from tests.ingest.running import NOW_MS, Log, committed, event, ids, ingesting, log

SOURCE = "web-app"


@asynccontextmanager
async def collecting(log: Log) -> AsyncIterator[httpx2.AsyncClient]:
    """The collector behind a real socket, and a client that holds a write key."""
    engine = database.create(log.settings.database_url.get_secret_value())
    producer = kafka.producer(log.settings)
    await producer.start()
    sources = await kafka.partitions_of(producer, USAGE_EVENTS)
    app = collector.create_app(Keyring(engine), Intake(producer, sources, 1), lambda: NOW_MS)
    running = Running(Readiness())
    listener = listen(0)
    host, port = listener.getsockname()
    serving = asyncio.create_task(serve_http(app, listener, running))
    try:
        headers = callers.bearing(await callers.key(engine, "write", SOURCE))
        async with httpx2.AsyncClient(
            base_url=f"http://{host}:{port}", headers=headers, timeout=60, trust_env=False
        ) as client:
            yield client
    finally:
        running.stop.set()
        await serving
        await producer.stop()
        await engine.dispose()


async def post(client: httpx2.AsyncClient, body: bytes, **headers: str) -> tuple[int, Any]:
    """Status and body of an answer; a refusal is a problem."""
    answer = await client.post("/v1/events", content=body, headers=headers)
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["message"] == problem["detail"]
        return answer.status_code, problem["code"]
    return 200, answer.json()


def made(number: int) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(event(number))
    return body


async def test_one_an_array_or_a_line_each(kafka_address: str, database_url: str) -> None:
    """What was sent over HTTP comes out of the pipeline: the whole way, with the key's source."""
    settings = settings_for(kafka_address, database_url)
    async with log(settings, sources=2) as topics, collecting(topics) as client:
        accepted = {"status": "accepted"}
        assert await post(client, event(0)) == (
            200,
            {"accepted": 1, "rejected": 0, "results": [{"id": "e-0", **accepted}]},
        )
        _, several = await post(client, json.dumps([made(1), made(2)]).encode())
        assert several["results"] == [{"id": "e-1", **accepted}, {"id": "e-2", **accepted}]
        _, lines = await post(client, b"\n".join([event(3), b"", event(4), b""]))
        assert lines["results"] == [{"id": "e-3", **accepted}, {"id": "e-4", **accepted}]
        _, pretty = await post(client, json.dumps(made(5), indent=2).encode())
        assert pretty["accepted"] == 1
        named = event(6, source="mobile", account_id=None, user_id="u")
        assert (await post(client, named))[1]["accepted"] == 1
        sent = [await topics.read(USAGE_EVENTS, partition) for partition in range(2)]
        async with ingesting(settings) as ingest:
            await committed(ingest, [len(records) for records in sent])
        out = [json.loads(record.value) for record in await topics.all_accepted()]
        out = [body for body in out if body["type"] != TICK]
        assert {body["id"] for body in out} == {f"e-{number}" for number in range(6)}
        assert {body["source"] for body in out} == {SOURCE}
        engine = database.create(database_url)
        async with database.snapshot(engine) as connection:
            parked = await connection.exec_driver_sql("SELECT source, user_id FROM ingest.parked")
            assert [tuple(row) for row in parked] == [("mobile", "u")]
        await engine.dispose()


async def test_the_good_events_of_a_bad_batch_are_kept(
    tansu_address: str, database_url: str
) -> None:
    """10,000 events in one request, every second one bad."""
    settings = settings_for(tansu_address, database_url)
    bad = {"id": "bad", "type": "t", "account_id": "a", "time": "yesterday"}
    body = [made(number) if number % 2 else bad for number in range(EVENTS_MAX)]
    async with log(settings) as topics, collecting(topics) as client:
        status, answer = await post(client, json.dumps(body).encode())
        assert (status, answer["accepted"], answer["rejected"]) == (200, 5_000, 5_000)
        for index in (0, 1, EVENTS_MAX - 2, EVENTS_MAX - 1):
            result = answer["results"][index]
            if index % 2:
                assert result == {"id": f"e-{index}", "status": "accepted"}
            else:
                assert (result["index"], result["reason"]) == (index, "bad_time")
        sent = await topics.read(USAGE_EVENTS, 0)
        assert ids(sent) == [f"e-{number}" for number in range(1, EVENTS_MAX, 2)]
        refused = await topics.rejected()
        assert len(refused) == 5_000
        headers = {name: value.decode() for name, value in refused[0].headers}
        assert json.loads(refused[0].value) == bad
        assert headers == {
            "reason": "bad_time",
            "detail": answer["results"][0]["detail"],
            "source_topic": f"http:{SOURCE}",
            "rejected_at": iso_time(NOW_MS),
        }
        one_more = json.dumps([*body, bad]).encode()
        assert await post(client, one_more) == (413, "too_many_events")
        assert len(await topics.rejected()) == 5_000


BOMB = gzip.compress(bytes(200_000_000))
GOOD = event(1)
BODIES: dict[str, tuple[bytes, dict[str, str], tuple[int, Any]]] = {
    "empty": (b"", {}, (400, "undecodable")),
    "blank": (b" \n\t\n", {}, (400, "undecodable")),
    "no JSON": (b"id=1&type=login", {}, (400, "undecodable")),
    "half an array": (b"[" + GOOD + b",", {}, (400, "undecodable")),
    "not UTF-8": (b'{"id": "\xff"}', {}, (400, "undecodable")),
    "nested too deep": (b"[" * 100_000, {}, (400, "undecodable")),
    "too large": (b" " * (BODY_BYTES_MAX + 1), {}, (413, "too_large")),
    "a gzip bomb": (BOMB, {"Content-Encoding": "gzip"}, (413, "too_large")),
    "2 million numbers": (b"[" + b"1," * 2_000_000 + b"1]", {}, (413, "too_many_events")),
    "2 million lines": (b"1\n" * 2_000_000, {}, (413, "too_many_events")),
    "a million empty lists behind NaN": (
        b"[NaN" + b",[]" * 1_000_000 + b"]",
        {},
        (413, "too_many_events"),
    ),
    "gzip, and something else behind it": (
        gzip.compress(GOOD) + b"more",
        {"Content-Encoding": "gzip"},
        (400, "bad_encoding"),
    ),
    "no gzip": (GOOD, {"Content-Encoding": "gzip"}, (400, "bad_encoding")),
    "half a gzip": (
        gzip.compress(GOOD)[:-12],
        {"Content-Encoding": "gzip"},
        (400, "bad_encoding"),
    ),
    "another encoding": (GOOD, {"Content-Encoding": "br"}, (415, "bad_encoding")),
}


async def test_what_cannot_be_read_is_refused_whole(tansu_address: str, database_url: str) -> None:
    settings = settings_for(tansu_address, database_url)
    async with log(settings) as topics, collecting(topics) as client:
        for name, (body, headers, expected) in BODIES.items():
            assert await post(client, body, **headers) == expected, name
        assert (await client.get("/v1/events")).status_code == 405
        assert (await post(client, GOOD))[0] == 200, "the service goes on"
        assert ids(await topics.read(USAGE_EVENTS, 0)) == ["e-1"]
        assert await topics.rejected() == []


async def test_what_json_cannot_carry_and_compressed_bodies(
    tansu_address: str, database_url: str
) -> None:
    settings = settings_for(tansu_address, database_url)
    nan = event(1)[:-1] + b', "properties": {"x": NaN, "y": -Infinity, "z": "\\ud800"}}'
    twice = event(2)[:-1] + b', "id": "the last wins"}'
    async with log(settings) as topics, collecting(topics) as client:
        for body in (nan, b"[" + nan + b"," + twice + b"]", nan + b"\n" + twice):
            assert (await post(client, body))[1]["rejected"] == 0
        assert (await post(client, b"\xef\xbb\xbf" + event(3)))[1]["accepted"] == 1
        squeezed = gzip.compress(event(4)), zlib.compress(event(5))
        assert (await post(client, squeezed[0], **{"Content-Encoding": "gzip"}))[0] == 200
        assert (await post(client, squeezed[1], **{"Content-Encoding": "deflate"}))[0] == 200
        files = gzip.compress(event(6) + b"\n") + gzip.compress(event(7))
        both = await post(client, files, **{"Content-Encoding": "gzip"})
        assert [one["id"] for one in both[1]["results"]] == ["e-6", "e-7"]
        sent = [json.loads(record.value) for record in await topics.read(USAGE_EVENTS, 0)]
        assert [one["id"] for one in sent] == [
            "e-1", *["e-1", "the last wins"] * 2, "e-3", "e-4", "e-5", "e-6", "e-7"
        ]  # fmt: skip
        assert sent[0]["properties"] == {"x": None, "y": None, "z": "\ufffd"}


async def test_a_body_that_comes_too_slowly(
    tansu_address: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends a byte now and then is told so, and others are served meanwhile."""
    monkeypatch.setattr(http, "BODY_SECONDS_MAX", 1)
    settings = settings_for(tansu_address, database_url)
    async with log(settings) as topics, collecting(topics) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        key = client.headers["authorization"]
        writer.write(
            f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n"
            "Content-Length: 100000\r\n\r\n".encode()
        )

        async def drip_until_answered() -> bytes:
            while True:
                writer.write(b" ")
                with suppress(TimeoutError):
                    return await asyncio.wait_for(reader.read(), 0.05)

        dripping = asyncio.create_task(drip_until_answered())
        assert (await post(client, GOOD))[0] == 200
        answered = await dripping
        writer.close()
        assert answered.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"slow_body"' in answered


async def test_without_the_broker_nothing_is_acknowledged(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes away under a collector that has used it; who asks is told to come again."""
    monkeypatch.setattr(collector, "SEND_SECONDS_MAX", 1)
    leash = Leash()
    async with broker.running(leash, tmp_path / "broker.log") as own:
        settings = settings_for(own.address, database_url)
        async with log(settings) as topics, collecting(topics) as client:
            assert (await post(client, GOOD))[0] == 200
            await asyncio.to_thread(own.process.stop)
            answers = [await client.post("/v1/events", content=GOOD) for _ in range(3)]
            for answer in answers:
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
                assert answer.headers["retry-after"] == "5"
    leash.let_go()


async def test_what_is_in_hand_is_bounded(
    tansu_address: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "IN_HAND_BYTES_MAX", 10 * len(GOOD))
    settings = settings_for(tansu_address, database_url)
    async with log(settings) as topics, collecting(topics) as client:
        many = b"\n".join([GOOD] * 20)
        for body, headers in ((many, {}), (gzip.compress(many), {"Content-Encoding": "gzip"})):
            answer = await client.post("/v1/events", content=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "busy")
            assert answer.headers["retry-after"] == "1"
        for _ in range(20):  # what a request took it has given back
            assert (await post(client, b"\n".join([GOOD] * 8)))[0] == 200


DOCUMENTS = st.lists(
    st.one_of(
        st.builds(made, st.integers(0, 99)),
        st.dictionaries(st.text(), st.text()),
        st.integers(),
        st.none(),
        st.text(),
    ),
    min_size=1,
)


@given(DOCUMENTS, st.sampled_from(["array", "lines"]), st.sampled_from(["\n", "\r\n", " \n\n"]))
def test_an_array_and_lines_say_the_same(documents: list[Any], form: str, end: str) -> None:
    """Against the obvious reading: one event by itself, each in its turn."""
    if form == "array":
        body = json.dumps(documents).encode()
    else:
        body = end.join(json.dumps(document) for document in documents).encode()
    items = examine_body(body, NOW_MS, SOURCE)
    if form == "lines" and isinstance(documents[0], list):
        return
    assert len(items) == len(documents)
    for item, document in zip(items, documents, strict=True):
        assert json.loads(item.value) == document
        is_event = isinstance(document, dict) and set(made(0)) <= document.keys()
        assert isinstance(item.body, Event) is is_event
