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
)

from services.alerts.delivery.outcome import Outcome

LOST = (SMTPException, OSError, TimeoutError)
"""What a mail server that went away, or never was there, raises."""
PORTS = {"smtps": 465, "smtp": 587}
RELAY_PORT = 25
GOODBYE_SECONDS = 5


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
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("write it as smtp://user:password@host:587")
    use_tls = parts.scheme == "smtps"
    username = unquote(parts.username) if parts.username else None
    default = PORTS[parts.scheme] if use_tls or username else RELAY_PORT
    return MailServer(
        hostname=parts.hostname,
        port=parts.port or default,
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
    except SMTPRecipientsRefused as error:
        return _of_code(error.recipients[0].code, error.recipients[0].message)
    except SMTPAuthenticationError as error:
        return Outcome("unconfigured", f"The mail server {server.hostname} refuses us: {error}.")
    except SMTPResponseException as error:
        return _of_code(error.code, error.message)
    except LOST as error:
        if begun:
            return Outcome("unknown", f"No answer, but it may have arrived: {error!r}.")
        return Outcome("transient", f"{server.hostname}:{server.port} cannot be reached: {error}.")
    else:
        with suppress(*LOST):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await client.quit()
    finally:
        client.close()
    return Outcome("sent")


def _of_code(code: int, message: str) -> Outcome:
    """4yz is for now, 5yz for good."""
    error = f"The mail server answered {code}: {message}."
    return Outcome("permanent" if code >= 500 else "transient", error)
