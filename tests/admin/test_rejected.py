"""`myaku rejected`, on real brokers, as somebody at night uses it."""

import asyncio
import base64
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from services.admin.rejected.commands import app
from services.admin.rejected.show import safe
from services.ingest.accept import Refused
from services.ingest.publish import refused_record
from shared import database, kafka
from shared.events import TICK, USAGE_EVENTS, USAGE_REJECTED, Barrier, Erasure, encode, sign
from shared.runtime import UserError, now_ms
from shared.settings import Settings
from shared.times import iso_time
from tests.conftest import SECRET_KEY, settings_for
from tests.ingest.running import Log, committed, ids, ingesting, log

HOUR_MS = 3_600_000
NASTY = b'{"id": "x\x1b[31m\x00\xff\xe2\x80\xae'
HUGE = b'{"id": "big", "type": "' + b"x" * 1_000_000 + b'"}'


def event(name: str, **fields: Any) -> bytes:
    """An event of a minute ago; a field given as None is left out."""
    given = {"id": name, "type": "page.seen", "account_id": "acme"}
    given |= {"time": iso_time(now_ms() - 60_000), **fields}
    return encode({key: value for key, value in given.items() if value is not None})


class Said(NamedTuple):
    """What a command ended with."""

    output: str
    error: str


async def rejected(settings: Settings, *arguments: str) -> Said:
    """Run the command on a thread of its own: a process would take seconds to begin."""
    environment = {
        "MYAKU_KAFKA": settings.kafka,
        "MYAKU_DATABASE_URL": settings.database_url.get_secret_value(),
        "MYAKU_SECRET_KEY": SECRET_KEY,
        "MYAKU_GROUP": settings.group,
        "COLUMNS": "80",
    }
    call = partial(CliRunner().invoke, app, list(arguments), env=environment)
    said = await asyncio.to_thread(call)
    if said.exception and not isinstance(said.exception, UserError):
        raise said.exception
    return Said(said.output, str(said.exception or ""))


async def refuse(broker: Log, settings: Settings, values: Sequence[bytes | None]) -> None:
    """Let ingest read them, an hour ago."""
    async with ingesting(settings, now_ms=lambda: now_ms() - HOUR_MS) as ingest:
        await broker.send(*values)
        await committed(ingest, [len(values)])


async def test_what_was_refused_is_listed_and_looked_at(
    tansu_address: str, database_url: str, tmp_path: Path
) -> None:
    settings = settings_for(tansu_address, database_url, clock="events")
    values = [event("early"), event("never", time="soon"), NASTY, HUGE]
    async with log(settings, partitions=1) as broker:
        await refuse(broker, settings, values)
        listed = await rejected(settings, "list")
        assert listed.output.startswith("4: future_time 1, bad_time 1, undecodable 1, bad_type 1\n")
        assert max(map(len, listed.output.splitlines())) <= 80
        of_one = await rejected(settings, "list", "--reason", "bad_time", "--json")
        told = json.loads(of_one.output)
        assert (told["counts"], told["entries"][0]["id"]) == ({"bad_time": 1}, "never")
        for filtered in (("--id", "never"), ("--since", "2026-01-01T00:00Z", "--account", "acme")):
            assert "never" in (await rejected(settings, "list", *filtered)).output
        for position in ("rejected/0/2", "rejected/0/3"):
            shown = await rejected(settings, "show", position)
            assert all(each.isprintable() for each in shown.output.replace("\n", ""))
            assert len(shown.output) < 4_000
        path = tmp_path / "raw"
        await rejected(settings, "show", "rejected/0/2", "--raw", str(path))
        assert path.read_bytes() == NASTY
        data = json.loads((await rejected(settings, "show", "rejected/0/2", "--json")).output)
        assert base64.b64decode(data["value"]) == NASTY


async def test_what_was_refused_is_sent_again_and_what_is_refused_anew_does_not_pile_up(
    kafka_address: str, database_url: str
) -> None:
    settings = settings_for(kafka_address, database_url, clock="events")
    values = [
        event(f"j-{name}", type="user.joined", user_id="u", account_id=name, time=iso_time(1_000))
        for name in ("a", "b")
    ]
    values += [event("e-1"), event("e-2"), event("never", time="soon"), NASTY, HUGE]
    values += [event("whose", account_id=None, user_id="u", time=iso_time(5_000))]
    async with log(settings, partitions=1) as broker:
        await refuse(broker, settings, values)
        dry = await rejected(settings, "replay", "--dry-run")
        assert dry.output.splitlines() == [
            "To be sent again: 3: future_time 2, ambiguous_account 1.",
            "Left out: 1, each of which would be refused again: bad_time.",
            "Left out: 1, each of which would be refused again: undecodable.",
            "Left out: 1, each of which was cut when it was refused.",
        ]
        assert ids(await broker.accepted(0)) == ["j-a", "j-b"]
        async with ingesting(settings, now_ms=now_ms):
            for _ in range(2):
                again = await rejected(settings, "replay", "--yes")
                assert "Sent 3: 2 went on" in again.output
                assert again.output.endswith("Refused again: 1: ambiguous_account 1.\n")
            early = ["e-1", "e-2"]
            assert ids(await broker.accepted(0)) == ["j-a", "j-b", *early, *early]
            await broker.send(event("l", type="user.left", user_id="u", account_id="a"))
            done = await rejected(settings, "replay", "--reason", "ambiguous_account", "--yes")
            assert "Left out: 2, each of which was sent again before" in done.output
            assert "Sent 1: 1 went on" in done.output
        accepted = await broker.accepted(0)
    assert ids(accepted)[-1] == "whose"
    assert json.loads(accepted[-1].value)["account_id"] == "b"


async def test_who_was_erased_does_not_come_back(kafka_address: str, database_url: str) -> None:
    settings = settings_for(kafka_address, database_url, clock="events")
    values = [event("1", user_id="ana"), event("2", user_id="bob"), event("3", user_id="ana")]
    values += [event("4", user_id="ana", account_id=None)]
    erased_ms = now_ms() - HOUR_MS // 2  # after they came, and before what they tell of
    async with log(settings, partitions=1) as broker:
        await refuse(broker, settings, values)
        await broker.send_signed(Erasure("ana", iso_time(erased_ms)))
        async with ingesting(settings, now_ms=now_ms) as ingest:
            await committed(ingest, [len(values) + 1])
            done = await rejected(settings, "replay", "--yes")
            assert "Left out: 1, each of which is of an erased user" in done.output
            assert "Sent 3: 3 went on" in done.output
        bodies = [json.loads(one.value) for one in (await broker.accepted(0))[1:]]
        sent_again = (await broker.read(USAGE_EVENTS, 0))[len(values) + 1 :]
    assert [(body["id"], body.get("user_id")) for body in bodies] == [
        ("1", None),
        ("2", "bob"),
        ("3", None),
    ]
    assert not any(b"ana" in one.value for one in sent_again)


async def test_what_came_over_http_keeps_its_source_and_what_is_signed_its_signature(
    tansu_address: str, database_url: str
) -> None:
    settings = settings_for(tansu_address, database_url, clock="events")
    barrier = encode(Barrier("b-1"))
    async with log(settings, partitions=1) as broker:
        why = Refused("future_time", "too early")
        over_http = refused_record(None, event("1"), why, {"source_topic": "http:web-app"}, 0)
        key, value, headers = refused_record(b"myaku.barrier", barrier, why, {}, 0)
        headers.append(("myaku-signature", sign(barrier, SECRET_KEY)))
        unsigned = refused_record(b"myaku.barrier", barrier, why, {}, 0)
        records: list[kafka.Record] = [over_http, (key, value, headers), unsigned]
        await kafka.send_in_order(broker.producer, USAGE_REJECTED, 0, records)
        assert "1:" in (await rejected(settings, "list", "--source", "web-app")).output
        async with ingesting(settings, now_ms=now_ms):
            done = await rejected(settings, "replay", "--yes")
            assert "Left out: 1, each of which is not signed with our key." in done.output
            assert "Sent 2: 2 went on" in done.output
        first, second = await broker.accepted(0)
    assert (json.loads(first.value)["source"], first.key) == ("web-app", b"acme")
    assert (second.key, second.value) == (b"myaku.barrier", barrier)


async def test_what_the_services_put_aside_is_found_with_the_same_command(
    tansu_address: str, database_url: str
) -> None:
    settings = settings_for(tansu_address, database_url, clock="events")
    engine = database.create(database_url)
    async with database.transaction(engine) as connection:
        for schema, offset, reason, value in (
            ("scoring", 7, "account 'acme' belongs to partition 1", event("1")),
            ("scoring", 9, "The batch with offsets 8 to 9 cannot be read: Invalid CRC.", b""),
            ("alerts", 3, "JSON is malformed", b"{"),
        ):
            insert = f"INSERT INTO {schema}.quarantine VALUES (0, 'log', :at, :reason, :value)"
            at = {"at": offset, "reason": reason, "value": value}
            await connection.execute(text(insert), at)
    await engine.dispose()
    async with log(settings, partitions=1) as broker:
        listed = await rejected(settings, "list")
        assert listed.output.startswith("3: put_aside 2, corrupt_batch 1\n")
        for position in ("scoring/0/7", "scoring/0/9", "alerts/0/3"):
            assert position in listed.output
        shown = await rejected(settings, "show", "scoring/0/9")
        assert "offsets 8 to 9 cannot be read" in shown.output
        async with ingesting(settings, now_ms=now_ms):
            done = await rejected(settings, "replay", "--reason", "put_aside", "--yes")
            assert "Left out: 1, each of which is a health record" in done.output
            assert "Sent 1: 1 went on" in done.output
        assert ids([one for one in await broker.accepted(0) if one.key != TICK.encode()]) == ["1"]


async def test_what_cannot_be_is_one_sentence(tansu_address: str, database_url: str) -> None:
    settings = settings_for(tansu_address, database_url)
    for command in (("list",), ("replay", "--yes"), ("show", "rejected/0/0")):
        said = await rejected(settings, *command)
        assert said.error.startswith("There is no topic usage.rejected at ")
    async with log(settings):
        empty = await rejected(settings, "list")
        assert empty.output == "Nothing that is asked for was refused or put aside.\n"
        assert (await rejected(settings, "replay", "--yes")).output == "To be sent again: 0.\n"
        for position, sentence in (
            ("rejected/0/7", "There is nothing at rejected/0/7: see `myaku rejected list`."),
            ("rejected/x", "'rejected/x' is no position: they look like rejected/0/17"),
            ("scoring/0/1", "There is nothing at scoring/0/1"),
        ):
            said = await rejected(settings, "show", position)
            assert said.error[: len(sentence)] == sentence
        said = await rejected(settings, "list", "--since", "yesterday")
        assert said.error == "--since is a time with its zone, as 2027-01-31T00:00:00Z."
    away = await rejected(settings.model_copy(update={"kafka": "127.0.0.1:9"}), "list")
    assert away.error.startswith("The Kafka broker at 127.0.0.1:9 cannot be reached")


@pytest.mark.parametrize("size", [0, 1, 2_001])
def test_nothing_that_moves_a_terminal_is_shown(size: int) -> None:
    shown = safe((b"\x1b]0;x\x07\x9b\r\n\x00\xe2\x80\xae\xf0\x9f\x98\x80" * 200)[:size])
    assert shown.isprintable()
    assert ("the first 2,000 of 2,001" in shown) == (size == 2_001)
