"""Write keys and tokens: what they look like, what they allow, and how they end."""

import asyncio
import itertools

import pytest
from sqlalchemy import make_url

from shared import database
from shared.access import Access, Keyring, allows, derive, generate, guard
from shared.access.keys import TOKENS, Written, id_in
from shared.access.store import revoke_key, save_derived, select_keys
from shared.database import transaction
from shared.problems import Problem
from shared.runtime import listen
from tests import callers
from tests.processes import until

EVERY: tuple[Access, ...] = ("write", *TOKENS)
SECRET = "0123456789abcdef"


def test_what_each_access_includes() -> None:
    may = {
        (held, needed) for held, needed in itertools.product(EVERY, EVERY) if allows(held, needed)
    }
    assert may == {
        ("write", "write"),
        ("read", "read"),
        *(("act", needed) for needed in ("read", "act")),
        *(("admin", needed) for needed in TOKENS),
    }


def test_no_two_keys_are_alike_and_the_id_is_found_in_each() -> None:
    made = [generate("write") for _ in range(100)]
    assert len({key.text for key in made}) == len({key.id for key in made}) == 100
    assert all(id_in(key.text) == key.id for key in made)
    assert all(len(key.text) == len("myaku_write_") + 12 + 1 + 43 for key in made)
    for odd in ("", "myaku", "a_b_c", "Zoë" * 50):
        assert id_in(odd) == ""


def test_a_derived_key_is_the_same_for_the_same_secret_only() -> None:
    assert derive(SECRET, "write") == derive(SECRET, "write")
    others = {derive(SECRET + "!", "write").text, derive(SECRET, "admin").text}
    assert derive(SECRET, "write").text not in others


async def test_the_database_does_not_know_the_text(database_url: str) -> None:
    engine = database.create(database_url)
    text = await callers.key(engine, "write")
    async with transaction(engine) as connection:
        [kept] = await select_keys(connection)
    secret = text.split("_", 3)[3]
    assert secret.encode() not in repr(kept).encode()
    assert kept.is_of(text)
    assert not kept.is_of(text[:-1] + ("A" if text[-1] != "A" else "B"))
    await engine.dispose()


async def test_a_new_key_works_at_once_and_a_revoked_one_ends(database_url: str) -> None:
    engine = database.create(database_url)
    keyring = Keyring(engine)
    with pytest.raises(Problem) as refused:
        await keyring.caller("myaku_read_0_x")
    assert refused.value.status_code == 401

    async def known(text: str) -> bool:
        try:
            await keyring.caller(text)
        except Problem as problem:
            return problem.status_code != 401
        return True

    text = await callers.key(engine, "write", "web-app")
    await until(lambda: known(text), seconds=5)
    caller = await keyring.caller(text)
    assert (caller.access, caller.source) == ("write", "web-app")
    assert not await known(text + "x")

    async with transaction(engine) as connection:
        assert await revoke_key(connection, id_in(text), 1)
        assert await revoke_key(connection, id_in(text), 2), "it stays revoked"
        assert not await revoke_key(connection, "nobody", 2)
        assert [key.revoked_ms for key in await select_keys(connection)] == [1]

    async def ended() -> bool:
        return not await known(text)

    await until(ended, seconds=10)
    await engine.dispose()


async def test_an_installation_makes_its_keys_again_and_ends_those_of_an_older_secret(
    database_url: str,
) -> None:
    engine = database.create(database_url)
    random = id_in(await callers.key(engine, "read"))
    old, new = (derive(secret, "admin") for secret in (SECRET, SECRET + "!"))

    async def in_force(*made: Written) -> set[str]:
        async with transaction(engine) as connection:
            if made:
                await save_derived(connection, [key.kept("up", None, 5) for key in made])
            return {key.id for key in await select_keys(connection) if key.revoked_ms is None}

    assert await in_force(old) == {random, old.id}
    assert await in_force(old) == {random, old.id}
    assert await in_force(new) == {random, new.id}
    async with transaction(engine) as connection:
        await revoke_key(connection, new.id, 6)
    assert await in_force() == {random}
    assert await in_force(new) == {random, new.id}, "the next start makes it again"
    await engine.dispose()


async def test_without_the_database_known_keys_work_and_nobody_new_gets_in(
    database_url: str,
) -> None:
    engine = database.create(database_url)
    keyring = Keyring(engine)
    text = await callers.key(engine, "read")
    assert (await keyring.caller(text)).access == "read"
    gone = make_url(database_url).set(database="gone").render_as_string(hide_password=False)
    away = database.create(gone)
    keyring._database, keyring._ended_at = away, float("-inf")  # long ago
    assert (await keyring.caller(text)).access == "read"
    with pytest.raises(Problem) as refused:
        await Keyring(away).caller(text)
    assert refused.value.status_code == 503
    assert refused.value.headers == {"Retry-After": "5"}
    await away.dispose()
    await engine.dispose()


async def test_a_database_that_hangs_holds_nobody_up(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes connections and never answers: who is known goes on, many at once."""
    monkeypatch.setattr(guard, "PATIENCE_SECONDS", 0.2)
    engine = database.create(database_url)
    keyring = Keyring(engine)
    text = await callers.key(engine, "read")
    assert (await keyring.caller(text)).access == "read"
    with listen(0) as mute:
        port = mute.getsockname()[1]
        hanging = database.create(f"postgresql://u:p@127.0.0.1:{port}/none")
        keyring._database, keyring._ended_at = hanging, float("-inf")
        async with asyncio.timeout(5):  # each by itself would wait for 10 s
            found = await asyncio.gather(*(keyring.caller(text) for _ in range(20)))
            assert {one.access for one in found} == {"read"}
            with pytest.raises(Problem) as refused:
                await keyring.caller("myaku_read_0_x")
            assert refused.value.status_code == 401
        reading = keyring._reading
        assert reading
        reading.cancel()
        await asyncio.wait({reading})
        await hanging.dispose()
    await engine.dispose()
