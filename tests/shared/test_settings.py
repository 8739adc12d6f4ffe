"""A wrong setting is one sentence that names the variable, and never shows a secret."""

from pathlib import Path

import pytest

from shared import database
from shared.runtime import UserError
from shared.settings import Settings

KEY = "a secret key of the tests"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"MYAKU_{name.upper()}", raising=False)
    monkeypatch.setenv("MYAKU_SECRET_KEY", KEY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MYAKU_CLOCK", "moon"),
        ("MYAKU_LOG_FORMAT", "xml"),
        ("MYAKU_SECRET_KEY", "short-secret"),
        ("MYAKU_KAFKA_SESSION_TIMEOUT_MS", "10"),
        ("MYAKU_KAFKA_SESSION_TIMEOUT_MS", "soon"),
        ("MYAKU_KAFKA_SECURITY_PROTOCOL", "TELNET"),
        ("MYAKU_KAFKA_SECURITY_MECHANISM", "ROT13"),
        ("MYAKU_KAFKA_REPLICATION_FACTOR", "0"),
        ("MYAKU_KAFKA", "host:port"),
        ("MYAKU_KAFKA", ""),
        ("MYAKU_PARENT_FD", "x"),
        ("MYAKU_DATABASE_URL_FILE", "nowhere/at-all"),
        ("MYAKU_SECRET_KEY_FILE", "nowhere/at-all"),
        ("MYAKU_DATABASE_URL", "not a url with hunter2"),
        ("MYAKU_DATABASE_URL", "mysql://u:hunter2@127.0.0.1/x"),
    ],
)
def test_a_wrong_value_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    if name == "MYAKU_SECRET_KEY_FILE":
        monkeypatch.delenv("MYAKU_SECRET_KEY")
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError) as refused:
        Settings.read()
    text = str(refused.value)
    assert name in text
    assert "\n" not in text
    assert "hunter2" not in text
    assert "short-secret" not in text


def test_a_missing_secret_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MYAKU_SECRET_KEY")
    with pytest.raises(UserError, match="MYAKU_SECRET_KEY"):
        Settings.read()


def test_a_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:hunter2@127.0.0.1/myaku\n")
    monkeypatch.setenv("MYAKU_DATABASE_URL_FILE", str(tmp_path / "url"))
    settings = Settings.read()
    assert settings.database_url.get_secret_value() == "postgresql://u:hunter2@127.0.0.1/myaku"
    assert "hunter2" not in repr(settings)
    assert KEY not in repr(settings)


def test_a_value_goes_before_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://127.0.0.1/file")
    monkeypatch.setenv("MYAKU_DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("MYAKU_DATABASE_URL", "postgresql://127.0.0.1/value")
    assert Settings.read().database_url.get_secret_value().endswith("/value")


async def test_a_database_that_does_not_answer_is_one_sentence_without_the_password() -> None:
    url = "postgresql://u:hunter2@127.0.0.1:1/myaku"
    engine = database.create(url)
    with pytest.raises(UserError) as refused:
        await database.check(engine, url)
    assert "127.0.0.1:1/myaku" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)
    await engine.dispose()


async def test_a_database_without_the_tables_says_what_to_do(postgres_url: str) -> None:
    engine = database.create(postgres_url)
    with pytest.raises(UserError, match="myaku db migrate"):
        await database.check(engine, postgres_url)
    await engine.dispose()
