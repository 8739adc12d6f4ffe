"""`myaku keys`: made, listed, revoked, as a person does it."""

import re

import pytest

from shared import database
from shared.access import Keyring
from shared.problems import Problem
from tests.admin.commands import myaku


async def test_a_key_is_made_shown_once_and_revoked(database_url: str) -> None:
    made = await myaku(
        *("keys", "create", "write", "--source", "web-app", "--name", "the [/shop]"),
        MYAKU_DATABASE_URL=database_url,
    )
    assert made.status == 0, made.error
    text = made.output.strip()
    [key_id] = re.findall(r"Its id is (\w+)\. It is not shown again\.", made.error)
    engine = database.create(database_url)
    caller = await Keyring(engine).caller(text)
    assert caller == (key_id, "write", "web-app", "the [/shop]")

    narrow = await myaku("keys", "list", MYAKU_DATABASE_URL=database_url, COLUMNS="80")
    assert key_id in narrow.output, "it can be copied"
    listed = await myaku("keys", "list", MYAKU_DATABASE_URL=database_url, COLUMNS="200")
    for words in (key_id, "write", "web-app", "the [/shop]"):
        assert words in listed.output
    assert text.split("_", 3)[3] not in listed.output

    revoked = await myaku("keys", "revoke", key_id, MYAKU_DATABASE_URL=database_url)
    assert revoked.output == "Revoked; it is refused within 5 seconds.\n"
    with pytest.raises(Problem):
        await Keyring(engine).caller(text)
    await engine.dispose()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("create", "write"), "A key with the access write needs --source."),
        (("create", "read", "--source", "s"), "A key with the access read has no --source."),
        (
            ("create", "read", "--name", "a\nb"),
            "--name has at most 128 printable characters.",
        ),
        (("revoke", "nobody"), "There is no key 'nobody': see `myaku keys list`."),
    ],
)
async def test_what_is_wrong_is_one_sentence(
    database_url: str, arguments: tuple[str, ...], sentence: str
) -> None:
    said = await myaku("keys", *arguments, MYAKU_DATABASE_URL=database_url)
    assert (said.status, said.error) == (1, sentence + "\n")


async def test_an_access_that_there_is_not() -> None:
    said = await myaku("keys", "create", "root", COLUMNS="200")
    assert said.status == 2
    assert "'write', 'read', 'act', 'admin'" in said.error


async def test_a_database_that_is_not_there() -> None:
    said = await myaku("keys", "list", MYAKU_DATABASE_URL="postgresql://127.0.0.1:1/none")
    assert said.status == 1
    assert said.error.startswith("The database at postgresql")
    assert "Traceback" not in said.error
