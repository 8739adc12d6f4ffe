"""One attempt: a line in the log, or a signed webhook."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx2
import msgspec
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from services.alerts.delivery.outbox import Leased
from services.alerts.delivery.outcome import Outcome, of_status
from shared.configuration import duration_ms
from shared.configuration.types import Destination
from shared.runtime import log

USER_AGENT = "Myaku-Webhooks/1"


async def send(
    client: httpx2.AsyncClient,
    destination: Destination,
    leased: Leased,
    secrets: Mapping[str, str],
    now_ms: int,
) -> Outcome:
    """Send one notification; whatever happens is an outcome."""
    if destination.type == "log":
        body = msgspec.json.decode(leased.body)
        log.info("alert", kind=leased.kind, at=body["timestamp"], **body["data"])
        return Outcome("sent")
    name = (destination.secret or "").removeprefix("secret://")
    if not (secret := secrets.get(name.upper())):
        return Outcome(
            "unconfigured",
            f"The secret {destination.secret} is missing: set MYAKU_SECRET_{name.upper()}.",
        )
    try:
        headers = signed_headers(leased, secret, now_ms)
    except (ValueError, EmptyWebhookSecretError):
        return Outcome(
            "unconfigured",
            f"MYAKU_SECRET_{name.upper()} is no webhook secret: `whsec_` and base64.",
        )
    return await _post(client, destination, leased, headers, now_ms)


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
