"""A notification as an e-mail: text and HTML, safe whatever an account is called."""

from collections.abc import Mapping
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from services.alerts.delivery.printed import printed, printed_lines
from services.alerts.delivery.truth import Leased
from services.alerts.digests import said

NAME_CHARACTERS_MAX = 80
SENDER_NAME = "Myaku"
COLORS = {"critical": "#b42318", "warning": "#b54708", "info": "#175cd3"}

_letters = Environment(
    loader=PackageLoader("services.alerts.delivery", "letters"),
    autoescape=lambda name: name is not None and ".html" in name,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write(leased: Leased, sender: str, recipient_name: str, now_ms: int) -> EmailMessage:
    """The letter, from `sender` to the address of the notification. Its Message-ID is its id's.

    Raises ValueError, MessageError or TemplateError for what cannot be written.
    """
    body = msgspec.json.decode(leased.body)
    domain = sender.rpartition("@")[2]
    letter = EmailMessage()
    letter["From"] = _mailbox(SENDER_NAME, sender)
    letter["To"] = _mailbox(recipient_name, leased.recipient)
    letter["Subject"] = printed(subject(body))
    letter["Date"] = formatdate(now_ms / 1000, usegmt=True)
    letter["Message-ID"] = f"<n-{leased.id}@{domain}>"
    letter["Auto-Submitted"] = "auto-generated"
    if leased.alert_id is not None:
        for header in ("In-Reply-To", "References"):
            letter[header] = f"<alert-{leased.alert_id}@{domain}>"
    kind = "alert" if leased.alert_id is not None else "digest"
    facts = _facts(body)
    letter.set_content(printed_lines(_letters.get_template(f"{kind}.txt.jinja").render(facts)))
    letter.add_alternative(
        printed_lines(_letters.get_template(f"{kind}.html.jinja").render(facts)), subtype="html"
    )
    if message_from_bytes(bytes(letter)).keys() != letter.keys():
        raise ValueError("its head would hold other lines than were written")
    return letter


def subject(body: Mapping[str, Any]) -> str:
    """The account, its score, and what happened; of a digest, how many alerts of what kind."""
    data = body["data"]
    if body["type"] == "alert.digest":
        return str(data["text"]).partition("\n")[0]
    change = data["change"]
    score = "unknown" if change["score"] is None else f"{change['score']:g}"
    what = {
        "opened": str(data["severity"]),
        "reopened": f"{data['severity']} again",
        "raised": f"now {data['severity']}",
        "acknowledged": f"{change['by']} has taken it on",
        "resolved": "the alert is over",
        "closed": f"closed by {change['by']}",
    }[change["what"]]
    return f"{shortened(change['account']['name'])} at {score}: {what}"


def shortened(name: str) -> str:
    """A name that fits into a subject."""
    short = printed(name)
    if len(short) <= NAME_CHARACTERS_MAX:
        return short
    return short[: NAME_CHARACTERS_MAX - 1].rstrip() + "…"


def _mailbox(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(printed(name), local, domain)


def _facts(body: Mapping[str, Any]) -> dict[str, Any]:
    """What the templates show: the data, and its text as a headline, points and the rest.

    Of a digest the points are its alerts, each with a line of its own.
    """
    data = body["data"]
    facts = {"more": 0, **data, "colors": COLORS}
    if body["type"] == "alert.digest":
        lines = [(alert, said(alert)) for alert in data["alerts"]]
        return {**facts, "headline": subject(body), "lines": lines}
    first, *others = data["change"]["text"].split("\n")
    return {
        **facts,
        "headline": first,
        "points": [line.removeprefix("- ") for line in others if line.startswith("- ")],
        "rest": [line for line in others if not line.startswith("- ")],
    }
