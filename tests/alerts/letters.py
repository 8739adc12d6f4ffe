"""Letters as they would be sent, without a mail server."""

from email import message_from_bytes
from email.message import EmailMessage

from services.alerts.delivery.letter import write
from services.alerts.delivery.truth import Leased
from services.alerts.notifications import Notification
from tests.alerts.world import AT_ONCE, PROFILE, World


def letter_of(name: str) -> EmailMessage:
    """The letter of an alert for an account of this name."""
    world = World(AT_ONCE)
    effects = world.score(0, 55, profile={**PROFILE, "name": name})
    [note] = effects.notifications
    return written(note, name)


def written(note: Notification, name: str) -> EmailMessage:
    """The letter of a notification, to somebody of this name."""
    leased = Leased(
        0, note.id, note.alert_id, 1, "mail", "ana@example.com", note.kind, note.body, 0, False, ""
    )
    return write(leased, "health@example.com", name, 0)


def heads(raw: bytes) -> list[str]:
    """The names of the header lines, as whoever receives the bytes reads them."""
    return message_from_bytes(raw).keys()
