"""The native event: what is accepted, why the rest is not, and whose a user's events are. Pure."""

from shared.native.event import Event, examine
from shared.native.membership import Membership, Memberships
from shared.native.refusal import Refused

__all__ = ["Event", "Membership", "Memberships", "Refused", "examine"]
