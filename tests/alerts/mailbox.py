"""A mail server on loopback that answers as it is told, and keeps what it takes."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from ssl import SSLContext
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


@dataclass
class Mailbox:
    """What arrived. `script` holds answers to recipients (RCPT) and letters (DATA), in order.

    Such an answer is a line as "550 no such user", or "reset", which hangs up after the letter.
    When a script is over, all is taken.
    """

    recipients_script: list[str] = field(default_factory=list)
    script: list[str] = field(default_factory=list)
    letters: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        """As a secret names it."""
        return f"smtp://127.0.0.1:{self.port}"

    def log_in(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: Any
    ) -> AuthResult:
        """Somebody gives a name and a password."""
        self.logins += 1
        return AuthResult(success=given.password == b"secret", handled=False)

    async def handle_RCPT(  # noqa: N802 — the library's name and arguments
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        """A recipient."""
        answer = self.recipients_script.pop(0) if self.recipients_script else "250 fine"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802 — the library's name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """A letter."""
        assert isinstance(envelope.content, bytes)
        self.raw.append(envelope.content)
        letter = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.recipients += envelope.rcpt_tos
        answer = self.script.pop(0) if self.script else "250 taken"
        if answer == "reset":
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return answer


@asynccontextmanager
async def mail_server(
    mailbox: Mailbox, tls_from_start: SSLContext | None = None, **options: Any
) -> AsyncIterator[Mailbox]:
    """The server, for as long as the context lasts."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(mailbox, enable_SMTPUTF8=False, **options),
        "127.0.0.1",
        0,
        ssl=tls_from_start,
    )
    mailbox.port = server.sockets[0].getsockname()[1]
    async with server:
        yield mailbox


@asynccontextmanager
async def answering(answers: Mapping[str, bytes]) -> AsyncIterator[Mailbox]:
    """A server that answers each command as it is told ("" is the greeting), and takes nothing."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.get("", b"220 hello") + b"\r\n")
        async for line in reader:
            verb = line[:4].decode().strip().upper()
            writer.write(answers.get(verb, b"250 fine") + b"\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield Mailbox(port=server.sockets[0].getsockname()[1])


def mail(**others: Any) -> dict[str, Any]:
    """A destination."""
    return {"type": "email", "from": "health@example.com", "smtp": "secret://smtp", **others}


def parts(letter: EmailMessage) -> tuple[str, str]:
    """The text and the HTML of a letter."""
    text, html = letter.get_body(("plain",)), letter.get_body(("html",))
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    return text.get_content(), html.get_content()


def certificate(directory: Path) -> ssl.SSLContext:
    """A server's context, with a certificate for localhost that has just been made."""
    names = ("-keyout", directory / "key.pem", "-out", directory / "cert.pem")
    made = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    also = ("-addext", "subjectAltName=DNS:localhost")
    subprocess.run(["openssl", "req", "-x509", *made, *also, *names], check=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context
