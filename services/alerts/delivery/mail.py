"""One e-mail to one mail server; whatever happens is an outcome."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from services.alerts.delivery.outcome import Outcome

LOST = (SMTPException, OSError, TimeoutError)
"""What a mail server that went away, or never was there, raises."""
PORTS = {"smtps": 465, "smtp": 587}
RELAY_PORT = 25
GOODBYE_SECONDS = 5
AS = (
    "write it as smtp://user:password@host:587, and in the password"
    " % / ? # @ : as %25 %2F %3F %23 %40 %3A"
)
NOT_SIGNED_IN, FOR_GOOD = 530, 500
CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"


@dataclass(frozen=True)
class MailServer:
    """Where e-mail is handed in. `start_tls` None: where the server offers it."""

    hostname: str
    port: int
    username: str | None
    password: str | None
    use_tls: bool
    start_tls: bool | None


def mail_server(url: str) -> MailServer:
    """The server of `smtp://user:password@host:port` or `smtps://…`. Raises ValueError.

    A name and a password are never sent in the clear: with them, STARTTLS is a must.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text would hold a part of the password
        raise ValueError(AS) from None
    behind = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme not in PORTS or not parts.hostname or behind:
        raise ValueError(AS)
    use_tls = parts.scheme == "smtps"
    username = unquote(parts.username) if parts.username else None
    default = PORTS[parts.scheme] if use_tls or username else RELAY_PORT
    return MailServer(
        hostname=parts.hostname,
        port=port or default,
        username=username,
        password=unquote(parts.password or "") if username else None,
        use_tls=use_tls,
        start_tls=False if use_tls else True if username else None,
    )


async def hand_in(
    server: MailServer, letter: EmailMessage, lane: tuple[str, str], seconds: float
) -> Outcome:
    """Hand a letter in, from one address to another."""
    sender, recipient = lane
    client = SMTP(
        hostname=server.hostname,
        port=server.port,
        username=server.username,
        password=server.password,
        use_tls=server.use_tls,
        start_tls=server.start_tls,
        timeout=seconds,
    )
    begun = False
    try:
        async with asyncio.timeout(seconds):
            await client.connect()
            begun = True
            await client.send_message(letter, sender=sender, recipients=[recipient])
    except (*LOST, ValueError) as error:
        return _of_failure(server, error, begun=begun)
    else:
        with suppress(*LOST):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await client.quit()
    finally:
        client.close()
    return Outcome("sent")


def _of_failure(server: MailServer, error: Exception, *, begun: bool) -> Outcome:
    """`begun`: the server had let us in, and was given the letter."""
    match error:
        case SMTPRecipientsRefused():
            return _of_code(error.recipients[0].code, error.recipients[0].message)
        case ValueError() if begun:
            return Outcome("permanent", f"It cannot be sent as a letter: {error}.")
        case SMTPAuthenticationError() | ValueError():
            return _refused(server, error)
        case SMTPResponseException():
            is_of_us = not begun or isinstance(error, SMTPSenderRefused)
            if is_of_us and error.code >= FOR_GOOD:
                return _refused(server, error)
            return _of_code(error.code, error.message)
        case _ if begun:
            return Outcome("unknown", f"No answer, but it may have arrived: {error!r}.")
        # An exception of no kind of its own: STARTTLS, or signing in, is not offered.
        case _ if CERTIFICATE in str(error) or type(error) is SMTPException:
            return _refused(server, error)
    return Outcome("transient", f"{server.hostname}:{server.port} cannot be reached: {error}.")


def _of_code(code: int, message: str) -> Outcome:
    """What an answer to a letter means: 4yz is for now, 5yz for good."""
    error = f"The mail server answered {code}: {message}."
    if code == NOT_SIGNED_IN:
        return Outcome("unconfigured", error)
    return Outcome("permanent" if code >= FOR_GOOD else "transient", error)


def _refused(server: MailServer, error: Exception) -> Outcome:
    """The server has nothing against the letter: it does not take any from us."""
    return Outcome("unconfigured", f"The mail server {server.hostname} refuses us: {error}.")
