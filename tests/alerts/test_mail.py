"""E-mail: what is written, to whom, and what follows from a mail server's answer."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerts.delivery import outbox
from services.alerts.delivery.dispatcher import Dispatcher
from services.alerts.delivery.mail import MailServer
from services.alerts.delivery.mail import mail_server as read_url
from services.alerts.pipeline import Alerts
from shared import database
from tests.alerts.letters import heads, letter_of, written
from tests.alerts.mailbox import Mailbox, answering, certificate, mail, mail_server, parts
from tests.alerts.rows import claimed, records
from tests.alerts.test_delivery import Wall, attempts, status
from tests.alerts.world import AT_ONCE, PROFILE, World, config, health, tick

WITHOUT_RULE = (
    "UPDATE alerts.notification SET body = convert_to(cast(cast(convert_from(body, 'UTF8')"
    " AS jsonb) #- '{data,rule}' AS text), 'UTF8')"
)
ROUTING: dict[str, Any] = {
    "destinations": {"mail": mail(), "log": {"type": "log"}},
    "to": ["mail"],
    "fallback": "cs@example.com",
}


async def firing(engine: AsyncEngine, routing: dict[str, Any], **profile: Any) -> Alerts:
    """An account in breach, in history that is delivered."""
    worker, _ = await claimed(engine)
    worker.deliver_history = True
    raw = health(0, 55, 1, mode="history", profile={**PROFILE, **profile})
    await worker.handle(0, records([config(AT_ONCE, **routing), raw]))
    return worker


def sender(engine: AsyncEngine, mailbox: Mailbox, wall: Wall | None = None) -> Dispatcher:
    """A dispatcher that knows the mail server; nothing here is sent by HTTP."""
    return Dispatcher(engine, httpx2.AsyncClient(), {"SMTP": mailbox.url}, wall or Wall())


async def test_a_letter_says_what_the_webhook_says_and_its_thread_goes_on(
    engine: AsyncEngine,
) -> None:
    async with mail_server(Mailbox()) as mailbox:
        worker = await firing(engine, {**ROUTING, "console_url": "https://myaku.example.com/"})
        again = health(1, 70, 2, mode="history")
        await worker.handle(0, records([again], 2))
        dispatcher = sender(engine, mailbox)
        while await dispatcher.deliver_next("mail"):
            pass
    opened, resolved = mailbox.letters
    assert mailbox.recipients == ["ana@example.com"] * 2
    assert opened["Subject"] == "Acme at 55: warning"
    assert resolved["Subject"] == "Acme at 70: the alert is over"
    assert opened["From"] == "Myaku <health@example.com>"
    assert opened["To"] == "ana@example.com"
    assert opened["Auto-Submitted"] == "auto-generated"
    assert opened["Message-ID"] != resolved["Message-ID"]
    assert opened["Message-ID"].startswith("<n-msg_")
    assert opened["Message-ID"].endswith("@example.com>")
    assert opened["References"] == opened["In-Reply-To"] == resolved["References"]
    for said in parts(opened):
        assert "Acme is at 55 (watch)" in said
        assert "MRR 1,200.00 EUR" in said
        assert "Call them." in said
        assert "https://myaku.example.com/alerts/al_" in said


@pytest.mark.parametrize(
    ("mailbox", "outcomes", "ends"),
    [
        (Mailbox(script=["451 later", "250 ok"]), ["transient", "sent"], "sent"),
        (Mailbox(script=["reset", "250 ok"]), ["unknown", "sent"], "sent"),
        (Mailbox(script=["554 no"]), ["permanent"], "dead"),
        (Mailbox(recipients_script=["450 busy", "250 ok"]), ["transient", "sent"], "sent"),
        (Mailbox(recipients_script=["550 no such user"]), ["permanent"], "dead"),
        (Mailbox(recipients_script=["530 log in first"]), ["unconfigured"], "queued"),
    ],
)
async def test_answers_of_a_mail_server(
    engine: AsyncEngine, mailbox: Mailbox, outcomes: list[str], ends: str
) -> None:
    async with mail_server(mailbox):
        await firing(engine, ROUTING)
        wall = Wall()
        dispatcher = sender(engine, mailbox, wall)
        for _ in outcomes:
            assert await dispatcher.deliver_next("mail")
            assert not await dispatcher.deliver_next("mail")
            wall.ms += 40_000
    assert [outcome for outcome, _ in await attempts(engine)] == outcomes
    assert [one[1] for one in await status(engine)] == [ends]
    ids = [str(letter["Message-ID"]) for letter in mailbox.letters]
    assert len(set(ids)) <= 1


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ({"": b"554 go away"}, "unconfigured"),
        ({"": b"421 busy"}, "transient"),
        ({"EHLO": b"502 no", "HELO": b"502 no"}, "unconfigured"),
        ({"EHLO": b"250-hi\r\n250 STARTTLS", "STAR": b"502 no"}, "unconfigured"),
        ({"MAIL": b"550 not from you"}, "unconfigured"),
        ({"MAIL": b"530 sign in"}, "unconfigured"),
        ({"MAIL": b"450 l\x00at\xff\xc3er " + b"x" * 4000}, "transient"),
        ({"RCPT": b"550 n\x00o\xff"}, "permanent"),
        ({"DATA": b"554 n\x00o\xff"}, "permanent"),
    ],
)
async def test_what_a_server_has_against_us_ends_no_letter(
    engine: AsyncEngine, answers: dict[str, bytes], outcome: str
) -> None:
    async with answering(answers) as mailbox:
        await firing(engine, ROUTING)
        assert await sender(engine, mailbox).deliver_next("mail")
    assert [one for one, _ in await attempts(engine)] == [outcome]


async def test_no_encoded_word_makes_a_header_in_what_arrives(engine: AsyncEngine) -> None:
    word = "=?utf-8?q?a=0D=0ABcc:_evil@example.com=0D=0AX-Injected:_1?="
    async with mail_server(Mailbox()) as mailbox:
        await firing(engine, ROUTING, name=word)
        assert await sender(engine, mailbox).deliver_next("mail")
    [raw] = mailbox.raw
    assert heads(raw) == heads(bytes(letter_of("Acme")))
    assert "evil" in str(mailbox.letters[0]["Subject"])
    [note] = World(AT_ONCE).score(0, 55).notifications
    assert heads(bytes(written(note, word))) == heads(raw)


async def test_a_letter_that_cannot_be_written_ends_alone(engine: AsyncEngine) -> None:
    async with mail_server(Mailbox()) as mailbox:
        await firing(engine, ROUTING)
        async with database.transaction(engine) as connection:
            await connection.execute(text(WITHOUT_RULE))
        assert await sender(engine, mailbox).deliver_next("mail")
    assert await status(engine) == [("opened", "dead", 1, False)]


async def test_a_server_that_is_not_there_is_tried_again(engine: AsyncEngine) -> None:
    async with mail_server(Mailbox()) as mailbox:
        pass
    await firing(engine, ROUTING)
    assert await sender(engine, mailbox).deliver_next("mail")
    assert await status(engine) == [("opened", "retry", 1, False)]


NO_SERVERS = [
    "mail.example.com",
    "http://mail",
    "smtp://mail:many",
    "smtp://ana:hunter2/x@host:587",
    "smtp://ana:4711/hunter2@host",
    "smtp://ana:hunter2#x@host:587",
    "smtp://ana:hunter2?x@host:587",
]


@pytest.mark.parametrize("url", NO_SERVERS)
async def test_what_is_no_mail_server_keeps_the_message(engine: AsyncEngine, url: str) -> None:
    await firing(engine, ROUTING)
    dispatcher = Dispatcher(engine, httpx2.AsyncClient(), {"SMTP": url}, Wall())
    assert await dispatcher.deliver_next("mail")
    assert await status(engine) == [("opened", "queued", 0, False)]
    assert "is no mail server" in dispatcher.undeliverable["mail"]
    assert "hunter2" not in str([dispatcher.undeliverable, await attempts(engine)])


async def test_a_name_that_no_host_can_have_waits_and_holds_the_others(
    engine: AsyncEngine,
) -> None:
    await firing(engine, ROUTING)
    wall = Wall()
    secrets = {"SMTP": "smtp://mail..example"}
    dispatcher = Dispatcher(engine, httpx2.AsyncClient(), secrets, wall)
    assert await dispatcher.deliver_next("mail")
    assert await status(engine) == [("opened", "queued", 0, False)]
    async with database.transaction(engine) as connection:
        assert await outbox.due_destinations(connection, wall.ms + 59_000) == []
        assert await outbox.due_destinations(connection, wall.ms + 61_000) == ["mail"]


async def test_a_password_is_never_sent_in_the_clear(engine: AsyncEngine) -> None:
    mailbox = Mailbox()
    async with mail_server(mailbox, auth_require_tls=False, authenticator=mailbox.log_in):
        await firing(engine, ROUTING)
        url = f"smtp://ana:secret@127.0.0.1:{mailbox.port}"
        dispatcher = Dispatcher(engine, httpx2.AsyncClient(), {"SMTP": url}, Wall())
        assert await dispatcher.deliver_next("mail")
    assert await status(engine) == [("opened", "queued", 0, False)]
    assert (mailbox.letters, mailbox.logins) == ([], 0)


@pytest.mark.parametrize(
    ("scheme", "option"), [("smtp", "tls_context"), ("smtps", "tls_from_start")]
)
async def test_a_certificate_that_nobody_vouches_for_keeps_the_message(
    engine: AsyncEngine, tmp_path: Path, scheme: str, option: str
) -> None:
    options: dict[str, Any] = {option: certificate(tmp_path)}
    async with mail_server(Mailbox(), **options) as mailbox:
        await firing(engine, ROUTING)
        url = f"{scheme}://ana:secret@localhost:{mailbox.port}"
        dispatcher = Dispatcher(engine, httpx2.AsyncClient(), {"SMTP": url}, Wall())
        assert await dispatcher.deliver_next("mail")
    assert await status(engine) == [("opened", "queued", 0, False)]


@pytest.mark.parametrize(("password", "ends"), [("secret", "sent"), ("wrong", "queued")])
async def test_with_tls_we_log_in(
    engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str, ends: str
) -> None:
    tls = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    mailbox = Mailbox()
    async with mail_server(mailbox, tls_context=tls, authenticator=mailbox.log_in):
        await firing(engine, ROUTING)
        url = f"smtp://ana:{password}@localhost:{mailbox.port}"
        dispatcher = Dispatcher(engine, httpx2.AsyncClient(), {"SMTP": url}, Wall())
        assert await dispatcher.deliver_next("mail")
    assert [one[1] for one in await status(engine)] == [ends]
    assert (len(mailbox.letters), mailbox.logins > 0) == (int(ends == "sent"), True)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mailpit:1025", MailServer("mailpit", 1025, None, None, False, None)),
        ("smtp://relay", MailServer("relay", 25, None, None, False, None)),
        ("smtp://a%40b:p%3Aw@relay", MailServer("relay", 587, "a@b", "p:w", False, True)),
        ("smtps://a:b@relay", MailServer("relay", 465, "a", "b", True, False)),
    ],
)
def test_urls_of_mail_servers(url: str, server: MailServer) -> None:
    assert read_url(url) == server


async def test_what_no_mailbox_takes_goes_to_the_fallback_and_its_end_after_it(
    engine: AsyncEngine,
) -> None:
    team = mail(to="team@example.com")
    routing = {**ROUTING, "destinations": {"mail": mail(), "team": team, "log": {"type": "log"}}}
    mailbox = Mailbox(recipients_script=["550 no such user"])
    async with mail_server(mailbox):
        worker = await firing(engine, {**routing, "fallback_to": ["team", "log"]})
        dispatcher = sender(engine, mailbox)
        assert await dispatcher.deliver_next("mail")
        assert await dispatcher.deliver_next("team")
        assert mailbox.recipients == ["team@example.com"]
        await worker.handle(0, records([health(1, 70, 2, mode="history"), tick(1)], 2))
        wall = Wall()
        wall.ms = World().state.tick_ms or 0
        dispatcher = sender(engine, mailbox, wall)
        for name in ("mail", "team"):
            while await dispatcher.deliver_next(name):
                pass
    assert [str(letter["Subject"]) for letter in mailbox.letters] == [
        "Acme at 55: warning",
        "Acme at 70: the alert is over",
    ]
    assert mailbox.recipients == ["team@example.com"] * 2
    assert sorted(one[:2] for one in await status(engine)) == [
        ("opened", "dead"),
        ("opened", "sent"),
        ("resolved", "sent"),
        ("resolved", "superseded"),
    ]


async def test_a_letter_that_the_server_keeps_waiting_for_is_given_up_in_time(
    engine: AsyncEngine,
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the other side hangs up
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    mailbox = Mailbox(port=server.sockets[0].getsockname()[1])
    slow = {**ROUTING, "destinations": {"mail": mail(timeout="1s")}}
    async with server:
        await firing(engine, slow)
        assert await sender(engine, mailbox).deliver_next("mail")
    assert await status(engine) == [("opened", "retry", 1, False)]
