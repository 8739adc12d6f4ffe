"""One attempt: a line in the log, a signed webhook, or an e-mail."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError

import httpx2
import msgspec
from jinja2 import TemplateError
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from services.alerts.delivery.letter import write
from services.alerts.delivery.mail import MailServer, hand_in, mail_server
from services.alerts.delivery.outcome import Outcome, of_status
from services.alerts.delivery.truth import Leased
from shared.configuration import Destination, duration_ms
from shared.runtime import log

USER_AGENT = "Myaku-Webhooks/1"


@dataclass(frozen=True)
class Means:
    """What a sender has at hand; `secrets` by NAME in capitals."""

    client: httpx2.AsyncClient
    secrets: Mapping[str, str]


async def send(
    means: Means, leased: Leased, destination: Destination, name: str, now_ms: int
) -> Outcome:
    """Send one notification to somebody of this name; whatever happens is an outcome."""
    if destination.type == "log":
        body = msgspec.json.decode(leased.body)
        log.info("alert", kind=leased.kind, at=body["timestamp"], **body["data"])
        return Outcome("sent")
    reference = destination.secret or destination.smtp or ""
    variable = reference.removeprefix("secret://").upper()
    if not (secret := means.secrets.get(variable)):
        problem = f"The secret {reference} is missing: set MYAKU_SECRET_{variable}."
        return Outcome("unconfigured", problem)
    if destination.type == "email":
        try:
            server = mail_server(secret)
        except ValueError as error:
            return Outcome("unconfigured", f"MYAKU_SECRET_{variable} is no mail server: {error}.")
        return await _mail(server, destination, leased, name, now_ms)
    try:
        headers = signed_headers(leased, secret, now_ms)
    except (ValueError, EmptyWebhookSecretError):
        problem = f"MYAKU_SECRET_{variable} is no webhook secret: `whsec_` and base64."
        return Outcome("unconfigured", problem)
    return await _post(means.client, destination, leased, headers, now_ms)


async def _mail(
    server: MailServer, destination: Destination, leased: Leased, name: str, now_ms: int
) -> Outcome:
    if not leased.recipient:
        return Outcome("permanent", "Neither the owner nor the fallback has an e-mail address.")
    sender = destination.sender or ""
    try:
        letter = write(leased, sender, name, now_ms)
    except (ValueError, MessageError, TemplateError) as error:
        return Outcome("permanent", f"It cannot be written as a letter: {error}.")
    seconds = duration_ms(destination.timeout) / 1000
    return await hand_in(server, letter, (sender, leased.recipient), seconds)


def signed_headers(leased: Leased, secrets: str, now_ms: int) -> dict[str, str]:
    """The headers of Standard Webhooks, for one attempt; one signature a secret.

    Raises ValueError or EmptyWebhookSecretError for what is no secret.
    """
    # The library reads the wall fields of the time as UTC: nothing but UTC may go in.
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    data = leased.body.decode()
    signatures = [Webhook(secret).sign(leased.id, moment, data) for secret in secrets.split()]
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": leased.id,
        "webhook-timestamp": str(now_ms // 1000),
        "webhook-signature": " ".join(signatures),
    }


async def _post(
    client: httpx2.AsyncClient,
    destination: Destination,
    leased: Leased,
    headers: Mapping[str, str],
    now_ms: int,
) -> Outcome:
    seconds = duration_ms(destination.timeout) / 1000
    try:
        async with (
            asyncio.timeout(seconds),
            client.stream(
                "POST", destination.url or "", content=leased.body, headers=headers, timeout=seconds
            ) as answer,
        ):
            return of_status(answer.status_code, answer.headers.get("retry-after"), now_ms)
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
        return Outcome("transient", f"{destination.url} cannot be reached: {error}.")
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        return Outcome("permanent", f"{destination.url} is no URL: {error}.")
    except (httpx2.TransportError, TimeoutError) as error:
        return Outcome("unknown", f"No answer, but it may have arrived: {error!r}.")
